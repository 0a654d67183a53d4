//! A download while it lasts.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::flows::Flow;
use crate::download::{Download, Evidence, Update};
use crate::evidence;
use crate::procfs::{Opened, Pinned, describe};
use crate::sniff::Sniffed;

/// Most far ends and sockets named.
const NAMED_MAX: usize = 64;
/// Far ends named as evidence.
const REMOTE_EVIDENCE_MAX: usize = 4;
/// Time between two updates of one download.
const PROGRESS: Duration = Duration::from_secs(1);
/// Looks at first bytes that are written but unknown: a part may be missing.
const SNIFFS_MAX: u8 = 8;
/// A file without sockets may get new ones for this long.
const LONELY: Duration = Duration::from_secs(5);
/// Time over which the rate is smoothed, milliseconds.
const RATE_MS: u64 = 2_000;

/// A download and what is needed to follow it.
#[derive(Debug)]
pub struct Tracked {
    /// What is told of it.
    pub record: Download,
    /// Bytes of sockets that are through with it.
    pub closed: u64,
    /// Looks in a row at which nobody held the file open.
    pub absent: u8,
    /// Looks in a row at which the file took nothing.
    pub still: u8,
    /// Whether it is over, whatever its sockets do.
    pub finished: bool,
    /// Sockets at work.
    pub flows: usize,
    open_bytes: u64,
    pinned: Option<Pinned>,
    sniffs: u8,
    reported: bool,
    told: Option<Instant>,
    rated: Option<(Instant, u64)>,
    lonely: Option<Instant>,
}

impl Tracked {
    /// Begins with what `flow` shows.
    pub fn new(id: u64, netns: u64, flow: &Flow) -> Self {
        let record = Download {
            id,
            netns,
            pid: None,
            uid: flow.uid,
            exe: None,
            command: Vec::new(),
            writer: None,
            remote: Vec::new(),
            sockets: Vec::new(),
            bytes_received: 0,
            rate_bytes_per_s: 0,
            file: None,
            file_key: None,
            size_bytes: 0,
            length_bytes: 0,
            format: None,
            model: false,
            evidence: Vec::new(),
            started_ms: flow.first_ms,
            updated_ms: flow.first_ms,
            ended: false,
        };
        Self {
            record,
            closed: 0,
            absent: 0,
            still: 0,
            finished: false,
            flows: 0,
            open_bytes: 0,
            pinned: None,
            sniffs: 0,
            reported: false,
            told: None,
            rated: None,
            lonely: None,
        }
    }

    /// Names the process that receives.
    pub fn held_by(&mut self, pid: u32) {
        if self.record.pid.is_none() {
            let process = describe(pid);
            self.record.pid = Some(pid);
            self.record.exe = process.exe;
            self.record.command = process.command;
            self.add(process.evidence);
        }
    }

    /// Names the file, and takes hold of it; `false` if it slipped away.
    pub fn written_to(&mut self, file: &Opened) -> bool {
        let Some(pinned) = file.pin() else { return false };
        let path = pinned.path();
        let layout = path.as_deref().and_then(evidence::layout);
        self.add(layout);
        self.record.file = path;
        self.record.file_key = Some(file.id);
        self.record.writer = Some(file.at.0);
        self.pinned = Some(pinned);
        true
    }

    /// Forgets its sockets, to be told of them anew with [`Tracked::count`].
    pub fn begin(&mut self) {
        self.record.sockets.clear();
        self.flows = 0;
        self.open_bytes = 0;
    }

    /// Counts the bytes of a socket.
    pub fn count(&mut self, flow: &Flow) {
        let remote = flow.socket.remote;
        if !self.record.remote.contains(&remote) && self.record.remote.len() < NAMED_MAX {
            self.record.remote.push(remote);
            if self.record.remote.len() <= REMOTE_EVIDENCE_MAX {
                self.add(Some(evidence::remote(remote)));
            }
        }
        if flow.gone {
            self.closed = self.closed.saturating_add(flow.pending());
        } else {
            self.open_bytes = self.open_bytes.saturating_add(flow.pending());
            self.flows = self.flows.saturating_add(1);
            if self.record.sockets.len() < NAMED_MAX {
                self.record.sockets.push(flow.socket);
            }
        }
    }

    /// Brings the record up to date.
    pub fn refresh(&mut self, now: Instant, now_ms: u64) {
        let bytes = self.closed.saturating_add(self.open_bytes);
        self.rate(now, bytes);
        self.record.bytes_received = bytes;
        self.record.updated_ms = now_ms;
        if let Some(pinned) = &self.pinned {
            if let Some(size) = pinned.size() {
                self.record.size_bytes = size.allocated;
                self.record.length_bytes = size.length;
            }
            // The name may change: clients rename when they are through.
            self.record.file = pinned.path().or(self.record.file.take());
            if self.record.format.is_none() && self.sniffs < SNIFFS_MAX {
                match pinned.sniff() {
                    Ok(Sniffed::Known(format)) => {
                        self.record.format = Some(format.name);
                        self.record.model = format.model;
                    }
                    Ok(Sniffed::Empty) => {}
                    Ok(Sniffed::Unknown) | Err(_) => self.sniffs = self.sniffs.saturating_add(1),
                }
            }
        }
        self.lonely = if self.flows > 0 { None } else { self.lonely.or(Some(now)) };
        let waits = self.pinned.is_some() && self.absent == 0;
        let lonely = self.lonely.is_some_and(|since| !waits || now.saturating_duration_since(since) >= LONELY);
        self.record.ended = self.finished || lonely;
        if self.record.ended {
            self.record.sockets.clear();
            self.record.rate_bytes_per_s = 0;
        }
    }

    /// What there is to tell.
    pub fn update(&mut self, report_bytes: u64, now: Instant) -> Option<Update> {
        let Download { bytes_received, model, ended, .. } = self.record;
        if !self.reported {
            self.reported = bytes_received >= report_bytes || model;
            self.told = Some(now);
            return self.reported.then(|| Update::Started(Download { ended: false, ..self.record.clone() }));
        }
        let due = self.told.is_none_or(|told| now.saturating_duration_since(told) >= PROGRESS);
        if ended || !due {
            return None;
        }
        self.told = Some(now);
        Some(Update::Progress(self.record.clone()))
    }

    /// The last word, if anything was said before.
    pub fn ended(self) -> Option<Update> {
        self.reported.then_some(Update::Ended(self.record))
    }

    fn rate(&mut self, now: Instant, bytes: u64) {
        // What came before the first look says nothing about speed.
        let Some((then, before)) = self.rated.replace((now, bytes)) else { return };
        let passed_ms = u64::try_from(now.saturating_duration_since(then).as_millis()).unwrap_or(RATE_MS);
        if passed_ms == 0 {
            return;
        }
        let first = self.record.rate_bytes_per_s == 0;
        let current = bytes.saturating_sub(before).saturating_mul(1000) / passed_ms;
        let weight = if first { RATE_MS } else { passed_ms.min(RATE_MS) };
        let old = self.record.rate_bytes_per_s.saturating_mul(RATE_MS.saturating_sub(weight));
        self.record.rate_bytes_per_s = old.saturating_add(current.saturating_mul(weight)) / RATE_MS;
    }

    fn add(&mut self, more: impl IntoIterator<Item = Evidence>) {
        let known: BTreeSet<_> = self.record.evidence.iter().map(|e| (e.what, e.value.clone())).collect();
        self.record.evidence.extend(more.into_iter().filter(|e| !known.contains(&(e.what, e.value.clone()))));
        self.record.evidence.sort_by(|a, b| b.strength.cmp(&a.strength).then(a.what.cmp(&b.what)));
    }
}
