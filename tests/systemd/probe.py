"""Tries, from inside of the daemon's unit, what the unit forbids. Prints one line for each attempt that succeeded.

    probe.py BEYOND_PID
"""
import ctypes
import os
import socket
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)
beyond = int(sys.argv[1])


def call(number, *arguments):
    ctypes.set_errno(0)
    if libc.syscall(number, *arguments) == -1:
        raise OSError(ctypes.get_errno(), "refused")


def library(function, *arguments):
    ctypes.set_errno(0)
    if getattr(libc, function)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), "refused")


def write(path):
    with open(path, "a") as file:
        file.write("x")


def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.settimeout(2)
        one.connect(address)


def child(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def executable_memory():
    # PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS
    libc.mmap.restype = ctypes.c_void_p
    if libc.mmap(None, 4096, 7, 0x22, -1, 0) == ctypes.c_void_p(-1).value:
        raise OSError("refused")


def a_program_of_its_own():
    path = "/var/lib/tokenkeep/probe"
    with open(path, "wb") as file, open("/usr/bin/true", "rb") as true:
        file.write(true.read())
    try:
        os.chmod(path, 0o700)
        child(path)
    finally:
        os.remove(path)


def set_user_id():
    path = "/var/lib/tokenkeep/probe"
    open(path, "w").close()
    try:
        os.chmod(path, 0o4700)
    finally:
        os.remove(path)


def see(path):
    if not os.path.exists(path):
        raise OSError("not there")


NUMBERS = {"x86_64": {"bpf": 321, "clone3": 435, "init_module": 175, "io_uring_setup": 425, "kexec_load": 246, "keyctl": 250,
                      "mount": 165, "perf_event_open": 298, "pidfd_getfd": 438, "process_vm_readv": 310, "ptrace": 101,
                      "setns": 308, "swapon": 167, "unshare": 272, "userfaultfd": 323},
           "aarch64": {"bpf": 280, "clone3": 435, "init_module": 105, "io_uring_setup": 425, "kexec_load": 104, "keyctl": 219,
                       "mount": 40, "perf_event_open": 241, "pidfd_getfd": 438, "process_vm_readv": 270, "ptrace": 117,
                       "setns": 268, "swapon": 224, "unshare": 97, "userfaultfd": 282}}[os.uname().machine]
SPACES = {"cgroup": 0x02000000, "ipc": 0x08000000, "mount": 0x00020000, "network": 0x40000000, "pid": 0x20000000,
          "user": 0x10000000, "uts": 0x04000000}

attempts = {f"a new {name} namespace": (lambda flag=flag: call(NUMBERS["unshare"], flag)) for name, flag in SPACES.items()}
attempts |= {
    "a program of the host": lambda: child("/usr/bin/true"),
    "a shell": lambda: child("/bin/sh", "-c", "true"),
    "a program of its own": a_program_of_its_own,
    "a set-user-id file": set_user_id,
    "memory that is written and executed": executable_memory,
    "another process's namespace": lambda: call(NUMBERS["setns"], os.open(f"/proc/{beyond}/ns/net", os.O_RDONLY), 0),
    "another process": lambda: see(f"/proc/{beyond}/status"),
    "a signal to it": lambda: os.kill(beyond, 0),
    "tracing it": lambda: call(NUMBERS["ptrace"], 16, beyond, 0, 0),
    "another user's file": lambda: open("/test/others", "rb").close(),
    "bpf": lambda: call(NUMBERS["bpf"], 0, 0, 0),
    "io_uring": lambda: call(NUMBERS["io_uring_setup"], 1, ctypes.create_string_buffer(256)),
    "a kernel module": lambda: call(NUMBERS["init_module"], 0, 0, b""),
    "kexec": lambda: call(NUMBERS["kexec_load"], 0, 0, 0, 0),
    "a mount": lambda: call(NUMBERS["mount"], b"none", b"/tmp", b"tmpfs", 0, 0),
    "perf events": lambda: call(NUMBERS["perf_event_open"], ctypes.create_string_buffer(128), 0, -1, -1, 0),
    "userfaultfd": lambda: call(NUMBERS["userfaultfd"], 1),
    "the kernel's log": lambda: open("/dev/kmsg").close(),
    "the host's memory": lambda: open("/dev/mem", "rb").close(),
    "the host's name": lambda: library("sethostname", b"x", 1),
    "the clock": lambda: library("clock_settime", 0, ctypes.create_string_buffer(16)),
    "real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "a socket of IPv4": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close(),
    "a socket of IPv6": lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close(),
    "a datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
    "a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "vsock": lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close(),
    "an abstract socket of the host": lambda: connect(socket.AF_UNIX, "\0tokenkeep-beyond"),
    "the encrypted credentials": lambda: os.listdir("/etc/credstore.encrypted"),
    "a home": lambda: os.listdir("/root"),
}
for place in ["/", "/boot", "/dev", "/dev/shm", "/etc", "/etc/tokenkeep", "/home", "/mnt", "/opt", "/root", "/run", "/run/systemd",
              "/run/tokenkeep", "/run/tokenkeep-doorman", "/run/tokenkeep-egress", "/srv", "/sys/fs/cgroup", "/test", "/tmp", "/usr/bin",
              "/usr/lib", "/var", "/var/lib", "/var/log", "/var/tmp"]:
    attempts[f"a file in {place}"] = lambda place=place: write(os.path.join(place, "probe"))
for place in ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/self/oom_score_adj_", "/sys/kernel/mm/ksm/run",
              "/etc/tokenkeep/tokenkeep.toml", "/usr/bin/tokenkeepd"]:
    attempts[f"a change of {place}"] = lambda place=place: write(place)

succeeded = 0
for what, attempt in attempts.items():
    try:
        attempt()
    except (OSError, subprocess.SubprocessError, AttributeError):
        continue
    succeeded += 1
    print(f"from inside: {what}", flush=True)
print(f"{len(attempts)} attempts, {succeeded} succeeded", flush=True)
# What it may: its state.
write("/var/lib/tokenkeep/probe")
os.remove("/var/lib/tokenkeep/probe")
