"""What a file is refused with."""


class UnreadableFile(Exception):  # noqa: N818 - an answer to whoever imports
    """The file cannot be read to its end; says where and why."""
