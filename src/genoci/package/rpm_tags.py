"""The numbers of rpm's tags and flags that we know (its rpmtag.h, rpmds.h and rpmfiles.h)."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Signature(IntEnum):
    """Tags of the first header, which vouches for the second and for the payload."""

    SHA1 = 269
    LONG_SIZE = 270
    SHA256 = 273
    SIZE = 1000
    MD5 = 1004


class Tag(IntEnum):
    IMMUTABLE = 63
    NAME = 1000
    VERSION = 1001
    RELEASE = 1002
    EPOCH = 1003
    BUILD_TIME = 1006
    ARCHITECTURE = 1022
    PRE = 1023
    POST = 1024
    OLD_NAMES = 1027
    FILE_SIZES = 1028
    FILE_MODES = 1030
    FILE_DEVICES = 1033
    FILE_TIMES = 1034
    FILE_DIGESTS = 1035
    FILE_LINKS = 1036
    FILE_FLAGS = 1037
    FILE_USERS = 1039
    FILE_GROUPS = 1040
    SOURCE_RPM = 1044
    PROVIDE_NAMES = 1047
    REQUIRE_FLAGS = 1048
    REQUIRE_NAMES = 1049
    REQUIRE_VERSIONS = 1050
    CONFLICT_NAMES = 1054
    TRIGGER_SCRIPTS = 1065
    TRIGGER_NAMES = 1066
    TRIGGER_FLAGS = 1068
    TRIGGER_INDEX = 1069
    PRE_PROGRAM = 1085
    POST_PROGRAM = 1086
    OBSOLETE_NAMES = 1090
    TRIGGER_PROGRAMS = 1092
    INODE_DEVICES = 1095
    INODES = 1096
    SOURCE_PACKAGE = 1106
    PROVIDE_FLAGS = 1112
    PROVIDE_VERSIONS = 1113
    DIRECTORY_INDEXES = 1116
    BASENAMES = 1117
    DIRECTORIES = 1118
    PAYLOAD_FORMAT = 1124
    PAYLOAD_COMPRESSOR = 1125
    PRE_TRANSACTION = 1151
    POST_TRANSACTION = 1152
    PRE_TRANSACTION_PROGRAM = 1153
    POST_TRANSACTION_PROGRAM = 1154
    LONG_FILE_SIZES = 5008
    FILE_CAPABILITIES = 5010
    FILE_DIGEST_ALGORITHM = 5011
    RECOMMEND_NAMES = 5046
    SUGGEST_NAMES = 5049
    SUPPLEMENT_NAMES = 5052
    ENHANCE_NAMES = 5055
    FILE_TRIGGER_SCRIPTS = 5066
    FILE_TRIGGER_PROGRAMS = 5067
    FILE_TRIGGER_NAMES = 5069
    FILE_TRIGGER_INDEX = 5070
    FILE_TRIGGER_FLAGS = 5072
    TRANSACTION_TRIGGER_SCRIPTS = 5076
    TRANSACTION_TRIGGER_PROGRAMS = 5077
    TRANSACTION_TRIGGER_NAMES = 5079
    TRANSACTION_TRIGGER_INDEX = 5080
    TRANSACTION_TRIGGER_FLAGS = 5082
    PAYLOAD_DIGEST = 5092
    PAYLOAD_DIGEST_ALGORITHM = 5093


class FileFlag(IntFlag):
    CONFIG = 1 << 0
    NOREPLACE = 1 << 4
    GHOST = 1 << 6


class Sense(IntFlag):
    """What a dependency means; `SCRIPTS` are those that only its scripts have."""

    LESS = 1 << 1
    GREATER = 1 << 2
    EQUAL = 1 << 3
    SCRIPTS = 1 << 5 | 1 << 7 | 0b111111 << 8
    TRIGGER_IN = 1 << 16
    RPMLIB = 1 << 24
    TRIGGER_PRE_IN = 1 << 25


DIGESTS = {1: "md5", 2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224"}
"""The algorithms of hashlib by the numbers of OpenPGP; files without a number have md5."""
