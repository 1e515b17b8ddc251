from collections.abc import Iterable
from typing import Any, Literal, final

@final
class Value:
    _multiprocess: bool
    def __new__(
        cls,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: Iterable[str],
        labelvalues: Iterable[str],
        help_text: str,
        multiprocess_mode: str = "",
        **_kwargs: Any,
    ) -> Value: ...
    def inc(self, amount: float) -> None: ...
    def set(self, value: float, timestamp: float | None = None) -> None: ...
    def get(self) -> float: ...
    def set_exemplar(self, exemplar: Any) -> None: ...
    def get_exemplar(self) -> Any: ...

@final
class Status:
    namespace: str
    instance: str
    target: str
    segment: str | None
    problem: str | None
    slots: int
    refused_slots: int
    refused_slots_named: list[tuple[str, str]]
    refused_values: int
    def __repr__(self) -> str: ...

def open(
    *,
    namespace: str | None = None,
    instance: str | None = None,
    directory: str | None = None,
    labels: dict[str, str] | None = None,
) -> list[str]: ...
def status() -> Status | None: ...
def follow_fork() -> str | None: ...
def end() -> str | None: ...
def target() -> tuple[Literal["local", "remote"], str]: ...
def read_segment(path: str) -> list[tuple[str, str, dict[str, str], float]]: ...
def agent_is_running(directory: str) -> bool: ...
def default_directory() -> str: ...
