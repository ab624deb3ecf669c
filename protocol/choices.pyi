from collections.abc import Callable
from typing import final

@final
class Choices:
    def __init__(self, choose: Callable[[str | bytes], object]) -> None: ...
