//! Starting a program without a copy of this process.
//!
//! fork(2) copies the page tables of the whole process and write-protects its memory, so that each thread that serves calls
//! stops at the next write to each page: a millisecond and more for every start, and the more the larger we are. Here the
//! child uses our memory until it runs its program, and only the thread that starts it waits for that: clone(2) with
//! `CLONE_VM` and `CLONE_VFORK`, as posix_spawn(3) does it, which cannot do what has to be done in the child.

use std::convert::Infallible;
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::Before;
use crate::leader::{self, Leader};

/// What the child needs of it is far less: it makes system calls.
const STACK: usize = 64 * 1024;
/// Runs what has no `#!` line, as shells do it.
const SHELL: &CStr = c"/bin/sh";

/// A program to be run, made before the child so that the child allocates nothing.
pub(super) struct Program {
    file: CString,
    /// The shell, the file, the arguments: from the file on, what the program gets.
    script: Strings,
    env: Strings,
    dir: Option<CString>,
    before: Before,
    stdio: [OwnedFd; 3],
    /// Why the program does not run, as an errno; 0 if it does.
    failed: AtomicI32,
}

/// Our ends of the child's standard streams.
pub(super) struct Streams {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// A list of C strings that ends with a null pointer, as exec wants it.
struct Strings {
    pointers: Vec<*const c_char>,
    _owned: Vec<CString>,
}

impl Strings {
    fn new(owned: Vec<CString>) -> Self {
        // The text of a `CString` does not move with it.
        let mut pointers: Vec<_> = owned.iter().map(|text| text.as_ptr()).collect();
        pointers.push(ptr::null());
        Self {
            pointers,
            _owned: owned,
        }
    }
}

fn text(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}

impl Program {
    /// # Errors
    /// A text with a NUL byte in it, or too many open files.
    pub(super) fn new<'a>(
        file: &OsStr,
        args: impl Iterator<Item = &'a OsStr>,
        env: impl Iterator<Item = (&'a OsStr, &'a OsStr)>,
        dir: Option<&OsStr>,
        before: Before,
    ) -> io::Result<(Self, Streams)> {
        let file = text(file)?;
        let script = [Ok(SHELL.to_owned()), Ok(file.clone())]
            .into_iter()
            .chain(args.map(text));
        let pairs = env.map(|(key, value)| text(&[key, value].join(OsStr::new("="))));
        let [(stdin, ours_in), (ours_out, stdout), (ours_err, stderr)] = [pipe()?, pipe()?, pipe()?];
        let program = Self {
            script: Strings::new(script.collect::<io::Result<_>>()?),
            env: Strings::new(pairs.collect::<io::Result<_>>()?),
            dir: dir.map(text).transpose()?,
            file,
            before,
            stdio: [stdin, stdout, stderr],
            failed: AtomicI32::new(0),
        };
        let streams = Streams {
            stdin: ours_in,
            stdout: ours_out,
            stderr: ours_err,
        };
        Ok((program, streams))
    }

    /// Starts it. Blocks until it runs, which is when its file has been read. Must be called with a runtime entered.
    ///
    /// # Errors
    /// What the system says. Nothing runs then.
    pub(super) fn start(self) -> io::Result<(Pid, Leader)> {
        let id = self.cloned()?;
        let leader = match self.failed.load(Ordering::Relaxed) {
            0 => Leader::new(id),
            errno => {
                leader::wait(id);
                Err(io::Error::from_raw_os_error(errno))
            }
        };
        // It announced itself, and is not there.
        let leader = leader.inspect_err(|_| self.before.take_back(id))?;
        Ok((id, leader))
    }

    #[expect(
        unsafe_code,
        reason = "there is no safe way to a process that shares memory until exec"
    )]
    fn cloned(&self) -> io::Result<Pid> {
        let mut stack = vec![0_u8; STACK];
        let top = stack.as_mut_ptr_range().end;
        // No processor wants it to be a multiple of more than 16.
        let top = top.wrapping_sub(top.addr() % 16);
        let program = ptr::from_ref(self).cast_mut().cast::<c_void>();
        let _blocked = Blocked::all()?;
        // SAFETY:
        // - `top` is the end of `STACK` writable bytes that nothing else uses; stacks grow down on all of Linux's processors
        //   that Rust compiles for. `in_child` and what it calls use a few KiB of them. They live until the child has left them,
        //   as `CLONE_VFORK` makes this thread wait until the child has run its program or has ended.
        // - `in_child` gets a pointer to `self`, which lives as long, and of which it makes a shared reference; what it writes
        //   is atomic.
        // - The child shares all memory with the other threads, which go on. It neither allocates, locks, panics nor unwinds: it
        //   makes system calls, through wrappers that touch no memory but their arguments and errno. Errno is of the thread
        //   that waits here. What is not memory (descriptors, directory, signal handlers and mask, limits) is the child's
        //   own, as none of `CLONE_FILES`, `CLONE_FS`, `CLONE_SIGHAND` and `CLONE_THREAD` is given.
        // - No signal handler of ours can run in the child and touch our memory: all signals are blocked here, and it
        //   unblocks them when it has no handlers left.
        let id = unsafe {
            libc::clone(
                in_child,
                top.cast(),
                libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
                program,
            )
        };
        match id {
            1.. => Pid::from_raw(id).ok_or_else(|| Errno::INVAL.into()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// In the child. Returns only if it fails.
    fn run(&self) -> Result<Infallible, Errno> {
        rustix::process::setpgid(None, None)?;
        if let Some(dir) = &self.dir {
            rustix::process::chdir(dir.as_c_str())?;
        }
        let [stdin, stdout, stderr] = &self.stdio;
        rustix::stdio::dup2_stdin(stdin)?;
        rustix::stdio::dup2_stdout(stdout)?;
        rustix::stdio::dup2_stderr(stderr)?;
        forget_handlers();
        self.before.run()?;
        let error = self.executed(&self.file, 1);
        if error == Errno::NOEXEC {
            return Err(self.executed(SHELL, 0));
        }
        Err(error)
    }

    /// Runs `file` with the texts of `script` from the `first` on. Returns only if it fails.
    #[expect(unsafe_code, reason = "exec with an environment of its own takes pointers")]
    fn executed(&self, file: &CStr, first: usize) -> Errno {
        let args = &self.script.pointers[first..];
        // SAFETY: three pointers as execve wants them: a C string, and two lists of C strings that end with a null pointer and
        // are owned by `self`. If it returns, it has changed nothing.
        unsafe { libc::execve(file.as_ptr(), args.as_ptr(), self.env.pointers.as_ptr()) };
        last_error()
    }
}

fn last_error() -> Errno {
    // Makes no text, so allocates nothing.
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

/// What the child does, on its own stack. What it returns is its exit status.
#[expect(unsafe_code, reason = "clone(2) passes a pointer")]
extern "C" fn in_child(program: *mut c_void) -> c_int {
    // SAFETY: `Program::cloned` passes a pointer to a `Program` that lives until this process has left its memory.
    let program = unsafe { &*program.cast::<Program>() };
    let Err(error) = program.run();
    program.failed.store(error.raw_os_error(), Ordering::Relaxed);
    127
}

/// In the child: signals do what they do by default, unless this process ignores them, and none is blocked. SIGPIPE, which
/// Rust programs ignore, is not ignored.
#[expect(
    unsafe_code,
    reason = "there is no safe interface to signals without handlers of its own"
)]
fn forget_handlers() {
    // SAFETY: the calls get valid pointers to structures of this frame, or null where it means "not wanted". The structures
    // are plain data for which zeros are a valid value: the default action, no flags, no signal in the mask.
    unsafe {
        let default: libc::sigaction = std::mem::zeroed();
        let nothing: libc::sigset_t = default.sa_mask;
        // An error: there is no such signal, or it cannot be caught.
        for signal in 1..=libc::SIGRTMAX() {
            let mut now = default;
            let known = libc::sigaction(signal, ptr::null(), &raw mut now) == 0;
            let caught = ![libc::SIG_DFL, libc::SIG_IGN].contains(&now.sa_sigaction);
            if known && (caught || signal == libc::SIGPIPE) {
                libc::sigaction(signal, &raw const default, ptr::null_mut());
            }
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const nothing, ptr::null_mut());
    }
}

/// All signals are blocked in this thread for as long as this lives.
struct Blocked(libc::sigset_t);

#[expect(unsafe_code, reason = "there is no safe interface to the signal mask")]
impl Blocked {
    fn all() -> io::Result<Self> {
        // SAFETY: both calls get valid pointers to sets of this frame, for which zeros are a valid value.
        unsafe {
            let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            match libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) {
                0 => Ok(Self(before)),
                errno => Err(io::Error::from_raw_os_error(errno)),
            }
        }
    }
}

#[expect(unsafe_code, reason = "there is no safe interface to the signal mask")]
impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: a valid pointer to a set, and none for the one before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

/// A pipe whose ends no other program inherits, and neither of which is a standard stream: those are replaced in the child one
/// after the other.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((above_standard(read)?, above_standard(write)?))
}

fn above_standard(end: OwnedFd) -> io::Result<OwnedFd> {
    const FIRST: i32 = 3;
    if end.as_raw_fd() >= FIRST {
        return Ok(end);
    }
    Ok(fcntl_dupfd_cloexec(end, FIRST)?)
}
