"""Errors of this package: one class a kind of cause, all under one base.

The command line prints the message as one line and exits with the class's `exit_code`.
"""


class Inter2FormerError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 1


class ArgumentError(Inter2FormerError, ValueError):
    """A function or command argument of the wrong type, shape or value."""

    exit_code = 2


class MissingDependencyError(Inter2FormerError, ImportError):
    """An optional package (an extra of this one) is needed and not installed."""

    exit_code = 3


class ConfigError(Inter2FormerError, ValueError):
    """A model configuration that cannot be read or contradicts itself."""

    exit_code = 4


class CheckpointError(Inter2FormerError):
    """A checkpoint that is unreadable, unsafe, or does not fit the configuration."""

    exit_code = 5


class BundleError(Inter2FormerError):
    """A bundle folder that is missing, altered, of an unknown format version, or that onnxruntime refuses."""

    exit_code = 6


class OpsLibraryError(Inter2FormerError):
    """The native custom-op library was asked for and cannot be used."""

    exit_code = 7


class ImageError(Inter2FormerError, ValueError):
    """An image file or array that cannot be used."""

    exit_code = 8


class ClickError(Inter2FormerError, ValueError):
    """A click outside the image or with unusable coordinates."""

    exit_code = 9


class EmbeddingError(Inter2FormerError):
    """An encoded-image file that is unreadable or belongs to another bundle."""

    exit_code = 10


class AnnotationError(Inter2FormerError):
    """A folder of annotations that is damaged, belongs to other pictures, or was changed by somebody else."""

    exit_code = 14
