//! An orderly end by SIGTERM, for processes that nobody has taught one: multiprocessing's children, which a `Pool` ends that way.
//!
//! Not by a handler in Python, which waits for the interpreter: a process that is stuck in some library would no longer end. A
//! thread without the interpreter's lock makes the last push, and then the signal does what it would have done.
#![expect(unsafe_code, reason = "the handler of a signal may do little: it posts a semaphore")]

#[cfg(not(target_os = "linux"))]
/// Does nothing here: there are no unnamed semaphores, and multiprocessing does not fork.
pub(crate) fn end_after(_last: fn()) {}

#[cfg(target_os = "linux")]
pub(crate) use linux::end_after;

#[cfg(target_os = "linux")]
mod linux {
    use std::cell::UnsafeCell;
    use std::mem::{MaybeUninit, zeroed};
    use std::ptr::null_mut;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Semaphore(UnsafeCell<MaybeUninit<libc::sem_t>>);

    // SAFETY: a semaphore is made for several threads; it is initialised before the handler and the thread know it.
    unsafe impl Sync for Semaphore {}

    static TERMINATED: Semaphore = Semaphore(UnsafeCell::new(MaybeUninit::uninit()));
    /// The process that the semaphore and the thread belong to; a fork's child has neither.
    static OWNER: AtomicU32 = AtomicU32::new(0);

    /// Calls `last` when SIGTERM comes, and then lets it end the process. Does nothing if the signal has a handler, or is
    /// ignored, or the thread cannot be started.
    pub(crate) fn end_after(last: fn()) {
        // SAFETY: the structs are plain and valid as zeros, the pointers outlive the calls. In a child of a process that was
        // here, the semaphore is made anew, and nobody else waits for it.
        unsafe {
            let mut current: libc::sigaction = zeroed();
            if libc::sigaction(libc::SIGTERM, std::ptr::null(), &mut current) != 0 {
                return;
            }
            let is_ours = current.sa_sigaction == handler as *const () as usize;
            if !is_ours && current.sa_sigaction != libc::SIG_DFL {
                return;
            }
            libc::sem_init(TERMINATED.0.get().cast(), 0, 0);
            let waits = move || {
                wait();
                last();
                end();
            };
            if std::thread::Builder::new().name("metrifold-end".into()).spawn(waits).is_err() {
                return;
            }
            OWNER.store(std::process::id(), Ordering::Release);
            let mut ours: libc::sigaction = zeroed();
            ours.sa_sigaction = handler as *const () as usize;
            // Calls of the application go on: the end does not depend on them.
            ours.sa_flags = libc::SA_RESTART;
            libc::sigaction(libc::SIGTERM, &ours, null_mut());
        }
    }

    extern "C" fn handler(_signal: libc::c_int) {
        // SAFETY: everything here may be called in a handler; the error number of the interrupted code is kept.
        unsafe {
            let errno = *libc::__errno_location();
            if OWNER.load(Ordering::Acquire) == libc::getpid() as u32 {
                libc::sem_post(TERMINATED.0.get().cast());
            } else {
                end();
            }
            *libc::__errno_location() = errno;
        }
    }

    fn wait() {
        // SAFETY: initialised before this thread was started, and never destroyed.
        while unsafe { libc::sem_wait(TERMINATED.0.get().cast()) } != 0 {}
    }

    /// Lets the signal do what it does by itself.
    fn end() {
        // SAFETY: plain numbers.
        unsafe {
            libc::signal(libc::SIGTERM, libc::SIG_DFL);
            libc::kill(libc::getpid(), libc::SIGTERM);
        }
    }
}
