"""Which level of the instruction set runs: the step, training and AdamW, all on the same one."""

def isas() -> list[str]:
    """Return the levels this processor has, the best first: x86-64-v4, x86-64-v3, baseline."""

def backends() -> list[str]:
    """Return the ways products are done on the level that runs: "fused", "blas", and "bfloat16" where there is one."""

def isa() -> str:
    """Return the level that runs: the best, or the one that STREAMLSTM_ISA names.

    Raises: UsageError when it names none that this processor has.
    """
