"""What is said of an error that nobody foresaw."""

MEND = "report this fault of Atlas"


def describe(error: BaseException) -> str:
    """Its kind and its place, and not what it says: that may hold the value of a secret parameter."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f" in {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else ""
    return f"the provenance is not recorded: {type(error).__name__}{place}"
