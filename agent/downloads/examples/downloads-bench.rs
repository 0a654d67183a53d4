//! What watching costs: processor time of the process at rest, with
//! 500 open sockets at rest, and with one of them busy.

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use rustix::time::{ClockId, clock_gettime};
    use weighbridge_downloads::{Monitor, Options};

    const SOCKETS: usize = 500;
    const SPAN: Duration = Duration::from_secs(10);

    /// Processor time of this process: the watcher, its helpers that come and
    /// go, and in the last line the load itself.
    fn spent() -> Duration {
        Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
    }

    fn resident_kib() -> Option<u64> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()
    }

    fn measure(what: &str, monitor: &Monitor) {
        let (before, start) = (spent(), Instant::now());
        thread::sleep(SPAN);
        let spent = spent().saturating_sub(before);
        let part = 100.0 * spent.as_secs_f64() / start.elapsed().as_secs_f64();
        let (coverage, resident) = (monitor.coverage(), resident_kib().unwrap_or(0));
        let (sockets, namespaces) = (coverage.sockets, coverage.namespaces);
        println!(
            "{what:<36} {part:6.2} % of a core  {sockets:5} sockets  {namespaces} namespaces  {resident} KiB resident"
        );
    }

    pub fn run() -> Result<(), Box<dyn std::error::Error>> {
        let monitor = Monitor::start(Options::default())?;
        thread::sleep(Duration::from_secs(5));
        measure("at rest", &monitor);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let mut held = Vec::new();
        for _ in 0..SOCKETS / 2 {
            held.push((TcpStream::connect(address)?, listener.accept()?.0));
        }
        thread::sleep(Duration::from_secs(5));
        measure("500 sockets at rest", &monitor);
        let stop = Arc::new(AtomicBool::new(false));
        let Some((mut from, mut to)) = held.pop() else { return Ok(()) };
        let sending = Arc::clone(&stop);
        thread::spawn(move || {
            while !sending.load(Ordering::Relaxed) && from.write_all(&[7; 65_536]).is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
        });
        thread::spawn(move || while matches!(to.read(&mut [0; 65_536]), Ok(1..)) {});
        thread::sleep(Duration::from_secs(3));
        measure("500 sockets, one busy, load included", &monitor);
        stop.store(true, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::run()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("skipped: downloads are watched on Linux only");
}
