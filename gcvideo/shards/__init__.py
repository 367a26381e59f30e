"""Videos that lie in tar files, on a disk or on a server, with an index that says where."""

from gcvideo.shards.errors import BrokenShardError, UnreachableError
from gcvideo.shards.members import MemberFile, Shards, Whereabouts

__all__ = ["BrokenShardError", "MemberFile", "Shards", "UnreachableError", "Whereabouts"]
