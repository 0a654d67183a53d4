//! All models that are served.

mod handle;
mod keep;
mod model;
mod reservation;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use weighbridge_inference_wire::{Open, PartRole, VERSION};
use weighbridge_policy::Approved;
use weighbridge_sandbox::group::Share;
use weighbridge_types::Sha256;

pub use handle::Handle;
pub use settings::{Options, Settings, Timing, WorkerCommand};

use crate::energy::Meter;
use crate::load::{self, LoadError, Measured, Need, PartSource};
use model::{Model, Phase};
use reservation::{Reservation, Which};

/// How often approvals are looked at.
const EXPIRY_TICK: Duration = Duration::from_secs(1);
/// Threads and processes of one worker beside those that compute.
const THREADS: u64 = 32;

/// Serves models, each in a process of its own.
#[derive(Clone)]
pub struct Supervisor(Arc<Inner>);

struct Inner {
    settings: Settings,
    /// Makes numbers of callers that tell nothing of them.
    scopes: RandomState,
    models: Mutex<BTreeMap<String, Entry>>,
    energy: Mutex<Meter>,
}

/// A name is taken while its model is being loaded.
enum Entry {
    Reserved(Reservation),
    Served(Arc<Model>),
}

impl Entry {
    /// The model, if its approval has ended.
    fn expired(&self, now: Timestamp) -> Option<Arc<Model>> {
        match self {
            Self::Served(model) if model.expires().is_some_and(|at| at <= now) => Some(Arc::clone(model)),
            _ => None,
        }
    }

    /// Memory it may still take.
    fn promised(&self) -> u64 {
        match self {
            Self::Reserved(reservation) => reservation.need.bytes(),
            Self::Served(model) => model.promised(),
        }
    }
}

impl Supervisor {
    /// Serves nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let (scopes, energy) = (RandomState::new(), Mutex::new(Meter::start()));
        let inner = Arc::new(Inner { settings, scopes, models: Mutex::default(), energy });
        let watched = Arc::downgrade(&inner);
        // Without this thread an approval that ended is noticed by whoever asks.
        let _ = thread::Builder::new().name("model-approvals".to_owned()).spawn(move || {
            while let Some(inner) = watched.upgrade() {
                inner.stop_expired();
                drop(inner);
                thread::sleep(EXPIRY_TICK);
            }
        });
        Self(inner)
    }

    /// Seals and checks `parts`, starts a worker for them meanwhile and waits
    /// until it is ready. Takes as long as reading the files; not for asynchronous threads.
    ///
    /// # Errors
    /// [`LoadError`]. Nothing is left of the attempt.
    pub fn load(&self, approved: Approved, parts: Vec<PartSource>, options: Options) -> Result<Handle, LoadError> {
        let name = approved.model().to_owned();
        if let Some(at) = approved.expires().filter(|at| *at <= Timestamp::now()) {
            return Err(LoadError::Expired { model: name, at });
        }
        let imported = parts.iter().any(|part| part.role == PartRole::Manifest);
        let parts = load::measure(parts)?;
        let weights = parts.iter().map(|p| p.part.size_bytes).fold(0, u64::saturating_add);
        let need = Need::of(weights, options.cache_bytes, imported);
        self.reserve(Reservation::new(need, approved.clone()))?;
        let loaded = self.begin(approved, parts, need, options);
        let mut models = self.0.lock();
        match loaded {
            Ok(model) => {
                models.insert(name, Entry::Served(Arc::clone(&model)));
                Ok(Handle::of(model))
            }
            Err(error) => {
                models.remove(&name);
                Err(error)
            }
        }
    }

    /// Takes the name, if there is room for the model.
    fn reserve(&self, reservation: Reservation) -> Result<(), LoadError> {
        let (name, need) = (reservation.name().to_owned(), reservation.need);
        let mut models = self.0.lock();
        match models.get(&name) {
            Some(Entry::Served(model)) if model.is_stopped() => {}
            Some(_) => return Err(LoadError::Exists(name)),
            None => {}
        }
        let most = self.0.settings.models_max;
        if models.iter().filter(|(other, _)| **other != name).count() >= most {
            return Err(LoadError::Full(most));
        }
        if let Some(available) = load::available() {
            let promised = models.values().map(Entry::promised).fold(0, u64::saturating_add);
            need.admit(&name, available, promised)?;
        }
        models.insert(name, Entry::Reserved(reservation));
        Ok(())
    }

    fn begin(
        &self,
        approved: Approved,
        mut parts: Vec<Measured>,
        need: Need,
        options: Options,
    ) -> Result<Arc<Model>, LoadError> {
        let settings = &self.0.settings;
        let (name, manifest) = (approved.model().to_owned(), options.manifest);
        let digests = parts.iter().map(|p| p.sha256).collect();
        let described: Vec<_> = parts.iter().map(|p| p.part.clone()).collect();
        let weights = parts.split_off(parts.partition_point(|p| !load::is_weighty(&p.part)));
        // Nobody reads them before they are known to be approved.
        let first = Arc::new(load::seal(parts)?);
        load::check(&first.iter().collect::<Vec<_>>(), &approved, manifest.as_ref())?;
        let open = Open {
            version: VERSION,
            name: name.clone(),
            parts: described,
            to_come: weights.len(),
            threads: options.threads.unwrap_or(settings.threads).clamp(1, 256),
            cache_bytes: options.cache_bytes,
            context_length: options.context_length,
        };
        let threads = u64::try_from(open.threads).unwrap_or(u64::MAX).saturating_add(THREADS);
        // Twice what is admitted: this is for a worker out of its mind.
        let share = Share { memory_bytes: need.bytes().saturating_mul(2), threads };
        let (launch, parts) = (settings.launch(share), Arc::clone(&first));
        let model = Arc::new(Model::new(approved.clone(), options, open, digests, parts, need, launch));
        self.attach(&model)?;
        let kept = Arc::clone(&model);
        let timing = settings.timing;
        thread::Builder::new()
            .name("model-keeper".to_owned())
            .spawn(move || keep::keep(&kept, timing))
            .map_err(|source| LoadError::Start { program: settings.worker.program.display().to_string(), source })?;
        // Beside the start of the worker, which reads the tokenizer meanwhile.
        let rest = load::seal(weights).and_then(|rest| {
            load::check(&first.iter().chain(&rest).collect::<Vec<_>>(), &approved, manifest.as_ref())?;
            Ok(rest)
        });
        match rest {
            Ok(rest) => model.change(|state| state.rest = Some(Arc::new(rest))),
            Err(error) => {
                model.stop(Phase::unloaded(&name));
                model.wait_until_over();
                return Err(error);
            }
        }
        model.wait_until_ready(timing.load_max)?;
        Ok(model)
    }

    /// From now on, whoever takes `model` back ends it.
    fn attach(&self, model: &Arc<Model>) -> Result<(), LoadError> {
        match self.0.lock().get_mut(model.name()) {
            Some(Entry::Reserved(reservation)) => reservation.attach(model),
            _ => Ok(()),
        }
    }

    /// Goes on serving a model by `approved`, which ends later or sooner than
    /// what it was loaded by.
    ///
    /// # Errors
    /// [`LoadError::Expired`], [`LoadError::NotServed`], or
    /// [`LoadError::OtherFiles`] if it is not for the files that are served.
    pub fn renew(&self, approved: Approved) -> Result<(), LoadError> {
        let name = approved.model().to_owned();
        if let Some(at) = approved.expires().filter(|at| *at <= Timestamp::now()) {
            return Err(LoadError::Expired { model: name, at });
        }
        let mut models = self.0.lock();
        let renewed = match models.get_mut(&name) {
            Some(Entry::Served(model)) if !model.is_stopped() => model.renew(approved),
            Some(Entry::Reserved(reservation)) => reservation.renew(approved),
            _ => return Err(LoadError::NotServed(name)),
        };
        if renewed { Ok(()) } else { Err(LoadError::OtherFiles(name)) }
    }

    /// The number under which beginnings of the texts of `caller` are found
    /// again ([`weighbridge_inference_wire::Generate::scope`]).
    pub(crate) fn scope(&self, caller: &str) -> u64 {
        self.0.scopes.hash_one(caller)
    }

    /// The model of that name or alias, if it is served.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Handle> {
        let models = self.0.lock();
        let served = |entry: &Entry| match entry {
            Entry::Served(model) => Some(Handle::of(Arc::clone(model))),
            Entry::Reserved(_) => None,
        };
        let by_name = models.get(name).and_then(served);
        by_name.or_else(|| models.values().filter_map(served).find(|h| h.options().aliases.iter().any(|a| a == name)))
    }

    /// Energy that this machine's processors used since the start, joules;
    /// `None` where no sensor tells.
    #[must_use]
    pub fn joules(&self) -> Option<f64> {
        self.0.energy.lock().unwrap_or_else(PoisonError::into_inner).joules()
    }

    /// All models, those included that were stopped and not unloaded.
    #[must_use]
    pub fn list(&self) -> Vec<Handle> {
        let models = self.0.lock();
        let served = models.values().filter_map(|entry| match entry {
            Entry::Served(model) => Some(Handle::of(Arc::clone(model))),
            Entry::Reserved(_) => None,
        });
        served.collect()
    }

    /// Stops every model that a file with this digest belongs to: policy took
    /// it back, for the reason given. Returns their names. They end at once;
    /// callers in flight are told. One that is still being loaded will not be
    /// served.
    pub fn revoke(&self, digest: &Sha256, reason: &str) -> Vec<String> {
        self.take_back(&Which::Holding(*digest), reason)
    }

    /// Stops the model `name`, as [`Supervisor::revoke`] does.
    pub fn revoke_model(&self, name: &str, reason: &str) -> bool {
        !self.take_back(&Which::Named(name.to_owned()), reason).is_empty()
    }

    fn take_back(&self, which: &Which, reason: &str) -> Vec<String> {
        let (mut taken, mut ending) = (Vec::new(), Vec::new());
        for (name, entry) in self.0.lock().iter_mut() {
            match entry {
                Entry::Served(model) => ending.push(Arc::clone(model)),
                Entry::Reserved(reservation) => {
                    // Also one whose files are not known yet hears of it.
                    if reservation.take_back(which, reason) {
                        taken.push(name.clone());
                    }
                }
            }
        }
        let ended = ending.iter().filter(|m| which.is(m) && m.stop(Phase::revoked(m.name(), reason)));
        taken.extend(ended.map(|m| m.name().to_owned()));
        taken
    }

    /// Stops the model `name`, waits until its memory is given back, and
    /// forgets it. False if there is none.
    pub fn unload(&self, name: &str) -> bool {
        let model = match self.0.lock().get(name) {
            Some(Entry::Served(model)) => Arc::clone(model),
            _ => return false,
        };
        model.stop(Phase::unloaded(name));
        model.wait_until_over();
        let mut models = self.0.lock();
        if matches!(models.get(name), Some(Entry::Served(other)) if Arc::ptr_eq(other, &model)) {
            models.remove(name);
        }
        true
    }
}

impl Inner {
    /// Stops models whose approval has come to its end.
    fn stop_expired(&self) {
        let now = Timestamp::now();
        let expired: Vec<_> = self.lock().values().filter_map(|entry| entry.expired(now)).collect();
        for model in expired {
            model.stop(Phase::revoked(model.name(), "its approval has ended"));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for (name, entry) in std::mem::take(&mut *self.lock()) {
            if let Entry::Served(model) = entry {
                model.stop(Phase::unloaded(&name));
                model.wait_until_over();
            }
        }
    }
}
