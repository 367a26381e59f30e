"""Shape annotations are checked by beartype in the whole test run."""

from jaxtyping import install_import_hook

install_import_hook("gcvideo", "beartype.beartype")
