"""HSDS as tables: packages in CSV or JSON, of any version, and Ohana CSV are read as nested documents; or written."""

from relais_directory.formats.tabular.joining import Told, documents
from relais_directory.formats.tabular.opening import is_package
from relais_directory.formats.tabular.writing import write_package

__all__ = ["Told", "documents", "is_package", "write_package"]
