"""From the records of a run to the evidence that rules read: account, sites, causes. Pure."""
