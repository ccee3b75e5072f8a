"""What a process that decodes for strangers may do: its memory, files and calls are bounded, by the kernel and FFmpeg.

All of it holds for the whole process and for good. So no function of this library calls it in a process that is not its
own: only the children of a pool are confined.
"""

import ctypes
import errno
import os
import resource
import signal
import sys
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from staa_video.clip import Limits

_lock = threading.Lock()
_most = 0

_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_NO_NEW_PRIVS = 1, 15, 38
_CLONE_THREAD, _PROT_EXEC = 0x10000, 4
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_EQUAL, _MASKED = 4, 7

# What Python, FFmpeg and Pillow need once everything is loaded. They reach what is open already and nothing else: no
# path, no socket, no program, no other process. Everything that is not listed fails with EACCES.
_CALLS = (
    *("read", "readv", "pread64", "preadv", "write", "writev", "lseek", "_llseek", "fstat", "fstat64", "close"),
    *("recvfrom", "recvmsg", "sendto", "sendmsg", "poll", "ppoll", "select", "pselect6"),
    *("brk", "munmap", "mremap", "madvise", "futex", "futex_time64", "sched_yield", "sched_getaffinity", "getcpu"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "set_robust_list", "rseq", "set_tid_address"),
    *("clock_gettime", "clock_gettime64", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time"),
    *("getpid", "gettid", "getppid", "getuid", "getrandom", "getrusage", "times", "sysinfo", "uname"),
    *("exit", "exit_group", "restart_syscall"),
)


class _Comparison(ctypes.Structure):
    """Compares an argument of a system call, as libseccomp's `scmp_arg_cmp` does."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def end_with_parent(parent: int) -> None:
    """Let the kernel end this process as soon as the thread that started it ends, or at once if it has ended."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def confine(limits: Limits, files: Sequence[int]) -> list[str]:
    """Bound this process for good; return what this machine cannot bound, in words.

    Args:
        limits: `memory` bounds the address space, over what it has now; `pixels` and `bytes` FFmpeg's blocks.
        files: the open files that it keeps.
    """
    lacks = [] if limit_ffmpeg(limits) else ["the size of FFmpeg's blocks (the library is not found)"]
    try:  # where memory runs out, the kernel is to take this process and not its parent
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        lacks.append("whom the kernel ends when memory runs out (no /proc/self/oom_score_adj)")
    most = {resource.RLIMIT_NOFILE: max(files) + 1, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}
    try:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        most[resource.RLIMIT_AS] = size + int(limits.memory)
    except OSError:
        lacks.append("memory (no /proc/self/statm)")
    try:
        library = ctypes.CDLL("libseccomp.so.2")  # while files can be opened
    except OSError:
        library = None
        lacks.append("files, network and other processes (no libseccomp.so.2: install libseccomp2)")
    for which, value in most.items():
        resource.setrlimit(which, (value, value))
    if library is not None and not (_prctl(_PR_SET_NO_NEW_PRIVS, 1) and _filter_calls(library)):
        lacks.append("files, network and other processes (the kernel takes no seccomp filter)")
    return lacks


def _filter_calls(library: ctypes.CDLL) -> bool:
    """Refuse every system call that is not listed, by libseccomp; return whether the kernel does so."""
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ERRNO | errno.EACCES)))

    def allow(call: str, action: int = _ALLOW, *comparisons: _Comparison) -> int:
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:  # this machine has none of that name
            return 0
        array = (_Comparison * max(1, len(comparisons)))(*comparisons)
        return int(library.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(comparisons), array))

    failed = [allow(call) for call in _CALLS]
    failed += [allow("clone", _ALLOW, _Comparison(0, _MASKED, _CLONE_THREAD, _CLONE_THREAD))]  # a thread, no process
    failed += [allow("clone3", _ERRNO | errno.ENOSYS)]  # its flags cannot be seen: libc takes clone then
    failed += [allow(call, _ALLOW, _Comparison(2, _MASKED, _PROT_EXEC, 0)) for call in ("mmap", "mmap2", "mprotect")]
    failed += [allow("prctl", _ALLOW, _Comparison(0, _EQUAL, _PR_SET_NAME, 0))]
    loaded = not any(failed) and library.seccomp_load(context) == 0
    library.seccomp_release(context)
    return loaded


def _prctl(what: int, value: int) -> bool:
    """Call prctl; return whether this system has it and took it."""
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None).prctl(what, value, 0, 0, 0) == 0)


def limit_ffmpeg(limits: Limits) -> bool:
    """Let FFmpeg allocate no block larger than a source within `limits`, or than eight bytes for each allowed pixel.

    A larger frame, packet or index fails like any failed allocation, whatever a file claims. After several calls the
    largest limit holds. Return whether it could be set: only Linux tells where the library is.
    """
    return limit_bytes(max(int(limits.bytes), 8 * int(limits.pixels)) + 2**20)


def limit_bytes(most: int) -> bool:
    """Do as `limit_ffmpeg`, for `most` bytes."""
    global _most  # noqa: PLW0603 - FFmpeg has one for the process
    library = _libavutil()
    if library is None:
        return False
    with _lock:
        if most > _most:
            library.av_max_alloc(ctypes.c_size_t(most))
            _most = most
    return True


@cache
def _libavutil() -> ctypes.CDLL | None:
    """Return the FFmpeg library that PyAV has loaded; None where it is not known, as anywhere but on Linux."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return None
    paths = [line.split(maxsplit=5)[5] for line in lines if "libavutil" in line]
    own = next((path for path in paths if "/av.libs/" in path), None)  # other packages may bring one as well
    return ctypes.CDLL(own or paths[0]) if paths else None
