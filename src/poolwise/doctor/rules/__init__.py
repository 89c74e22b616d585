"""The findings, one file each, and the table of them.

To add one: a file here, a line in the table, a test in tests/doctor, and
`python -m poolwise explain --write docs/findings`.
"""

from __future__ import annotations

from poolwise.doctor.rules.pw001_tasks_too_small import TasksTooSmall
from poolwise.doctor.rules.pw002_slower_than_serial import SlowerThanSerial
from poolwise.doctor.rules.pw003_not_worth_a_pool import NotWorthAPool
from poolwise.doctor.rules.pw004_payload_args import PayloadArgs
from poolwise.doctor.rules.pw005_payload_results import PayloadResults
from poolwise.doctor.rules.pw006_repeated_payload import RepeatedPayload
from poolwise.doctor.rules.pw007_io_bound import IoBound
from poolwise.doctor.rules.pw008_mixed_cpu_io import MixedCpuIo
from poolwise.doctor.rules.pw009_lock_serialised import LockSerialised
from poolwise.doctor.rules.pw010_imbalance_item import ImbalanceItem
from poolwise.doctor.rules.pw011_imbalance_chunks import ImbalanceChunks
from poolwise.doctor.rules.pw012_startup import SlowStartup
from poolwise.doctor.rules.pw013_worker_churn import WorkerChurn
from poolwise.doctor.rules.pw014_oversubscribed_threads import OversubscribedThreads
from poolwise.doctor.rules.pw015_oversubscribed_processes import OversubscribedProcesses
from poolwise.doctor.rules.pw016_gil_bound_threads import GilBoundThreads
from poolwise.doctor.rules.pw017_slow_producer import SlowProducer
from poolwise.doctor.rules.pw018_slow_callbacks import SlowCallbacks
from poolwise.doctor.rules.pw019_serial_submission import SerialSubmission
from poolwise.doctor.rules.pw020_serial_parent import SerialParent
from poolwise.doctor.rules.pw021_eager_input import EagerInput
from poolwise.doctor.rules.pw022_manager_proxy import ManagerProxy
from poolwise.doctor.rules.pw023_hand_made_pool import HandMadePool
from poolwise.doctor.rules.pw024_cpu_throttled import CpuThrottled
from poolwise.doctor.rules.pw025_duplicated_random_streams import DuplicatedRandomStreams
from poolwise.doctor.rules.pw026_worker_died import WorkerDied
from poolwise.doctor.rules.pw027_unbalanced_start_method import UnbalancedStartMethod
from poolwise.doctor.rules.pw028_vectorise_instead import VectoriseInstead
from poolwise.doctor.rules.pw029_call_never_ended import CallNeverEnded
from poolwise.doctor.rules.pw030_nested_pools import NestedPools
from poolwise.doctor.rules.pw031_more_workers_than_tasks import MoreWorkersThanTasks
from poolwise.doctor.rules.pw032_imports_repeated import ImportsRepeated
from poolwise.doctor.rules.pw033_stages_run_in_turn import StagesRunInTurn
from poolwise.doctor.rules.rule import Rule

RULES: tuple[type[Rule], ...] = (
    TasksTooSmall,
    SlowerThanSerial,
    NotWorthAPool,
    PayloadArgs,
    PayloadResults,
    RepeatedPayload,
    IoBound,
    MixedCpuIo,
    LockSerialised,
    ImbalanceItem,
    ImbalanceChunks,
    SlowStartup,
    WorkerChurn,
    OversubscribedThreads,
    OversubscribedProcesses,
    GilBoundThreads,
    SlowProducer,
    SlowCallbacks,
    SerialSubmission,
    SerialParent,
    EagerInput,
    ManagerProxy,
    HandMadePool,
    CpuThrottled,
    DuplicatedRandomStreams,
    WorkerDied,
    UnbalancedStartMethod,
    VectoriseInstead,
    CallNeverEnded,
    NestedPools,
    MoreWorkersThanTasks,
    ImportsRepeated,
    StagesRunInTurn,
)
"""Every rule, by code. Codes and names are stable: tools and people refer to them."""


def find_rule(word: str) -> type[Rule] | None:
    """The rule of this code or name, whatever the case; None if there is none.

    Of a code the number is enough: PW006, pw6, 6.
    """
    wanted = word.strip().lower().replace("_", "-")
    number = wanted.removeprefix("pw")
    code = f"PW{int(number):03}" if number.isdecimal() else ""
    return next((rule for rule in RULES if rule.code == code or rule.name == wanted), None)
