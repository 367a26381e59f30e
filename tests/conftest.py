"""Shape annotations are checked by beartype in the whole test run."""

from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook("gcvideo", "beartype.beartype")

# A busy machine is no failure.
settings.register_profile("gcvideo", deadline=None)
settings.load_profile("gcvideo")
