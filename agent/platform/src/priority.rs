//! Staying out of the way: priorities and pressure (sched_setattr(2),
//! ioprio_set(2), Documentation/accounting/psi.rst).

/// Gives the calling thread, and the processes it starts, the lowest share of
/// the processor and idle class of the disk. What the system refuses is left
/// as it is.
pub fn yield_to_others() {
    // A thread's own nice value on Linux (setpriority(2), "C library/kernel
    // differences").
    let _ = rustix::process::setpriority_process(None, 19);
    #[cfg(target_os = "linux")]
    idle_disk_class();
}

#[cfg(target_os = "linux")]
fn idle_disk_class() {
    const WHO_PROCESS: libc::c_int = 1;
    const CLASS_IDLE: libc::c_int = 3;
    const CLASS_SHIFT: libc::c_int = 13;
    // SAFETY: ioprio_set(2) takes three integers and touches no memory; 0 names
    // the calling thread.
    let _ = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, CLASS_IDLE << CLASS_SHIFT) };
}

/// The worst of processor, disk and memory pressure: the share of the last ten
/// seconds in which some task waited for it, percent. None where the kernel
/// does not tell.
#[must_use]
pub fn pressure() -> Option<f32> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/pressure/{name}")).ok();
    ["cpu", "io", "memory"].into_iter().filter_map(|name| some_avg10(&read(name)?)).reduce(f32::max)
}

/// `some avg10=0.12 avg60=… avg300=… total=…`
fn some_avg10(text: &str) -> Option<f32> {
    let line = text.lines().find_map(|l| l.strip_prefix("some "))?;
    line.split(' ').find_map(|field| field.strip_prefix("avg10="))?.parse().ok().filter(|p: &f32| p.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_lines_are_read_or_not() {
        let text = "some avg10=1.50 avg60=0.00 avg300=0.00 total=9\nfull avg10=9.00 avg60=0 avg300=0 total=0\n";
        assert_eq!(some_avg10(text), Some(1.5));
        for odd in ["", "some", "some avg10=", "some avg10=NaN", "full avg10=3.0"] {
            assert_eq!(some_avg10(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_thread_yields_alone() {
        let nice = std::thread::spawn(|| {
            yield_to_others();
            rustix::process::getpriority_process(None)
        });
        assert_eq!(nice.join().unwrap(), Ok(19));
        assert_ne!(rustix::process::getpriority_process(None), Ok(19));
    }
}
