"""One file a claim: what poolwise says of itself, measured beside its peers. See README.md."""
