use std::io::Write;
use std::time::Instant;

use sha2::{Digest, Sha256 as Hasher};
use weighbridge_gateway::ModelState;
use weighbridge_inference_wire::FailureKind;
use weighbridge_policy::{Assessment, Context, PolicySet, Principal, Repository, approve};

use super::*;

const CONTENT: &[u8] = b"a graph";

fn digest(bytes: &[u8]) -> Sha256 {
    Sha256::new(Hasher::digest(bytes).into())
}

fn approved(name: &str, content: &[u8], set: &PolicySet) -> Approved {
    let file = Assessment { sha256: Some(digest(content)), ..Assessment::default() };
    let files = [("model.onnx".to_owned(), file)].into();
    approve(name, &files, &Principal::User("tester".to_owned()), &Context::at(Timestamp::now()), set).unwrap()
}

fn until(end: Timestamp) -> PolicySet {
    let folder = tempfile::tempdir().unwrap();
    let policy = format!(
        "@id(\"may\") @owner(\"a@b\") @rationale(\"r\") @severity(\"low\") @expires(\"{end}\") \
         permit(principal, action, resource);"
    );
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    std::fs::write(folder.path().join("policies/a.cedar"), policy).unwrap();
    Repository::load(folder.path()).into_set().unwrap_or_else(|p| panic!("{p:?}"))
}

/// Workers of it say nothing.
fn supervisor() -> Supervisor {
    Supervisor::new(Settings::new(WorkerCommand { program: "/bin/sleep".into(), arguments: vec!["60".into()] }))
}

fn options() -> Options {
    Options { cache_bytes: 1 << 20, ..Options::default() }
}

fn parts() -> Vec<PartSource> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(CONTENT).unwrap();
    vec![PartSource { role: PartRole::Graph, name: "model.onnx".to_owned(), file, sha256: digest(CONTENT) }]
}

/// A model that is served, but for its worker.
fn served(supervisor: &Supervisor, approved: Approved) -> Arc<Model> {
    let name = approved.model().to_owned();
    let open = Open {
        version: VERSION,
        name: name.clone(),
        parts: Vec::new(),
        to_come: 0,
        threads: 1,
        cache_bytes: 0,
        context_length: None,
    };
    let launch = supervisor.0.settings.launch(Share { memory_bytes: 1 << 20, threads: 1 });
    let model =
        Arc::new(Model::new(approved, options(), open, Vec::new(), Arc::default(), Need::of(1, 1, false), launch));
    model.change(|state| state.phase = Phase::Ready);
    // Nobody keeps it, and nobody is to be waited for.
    model.finish();
    supervisor.0.lock().insert(name, Entry::Served(Arc::clone(&model)));
    model
}

#[test]
fn a_model_that_is_being_loaded_can_be_taken_back() {
    let take_back: [fn(&Supervisor) -> bool; 2] = [
        |supervisor| supervisor.revoke_model("small", "it is unsafe"),
        |supervisor| supervisor.revoke(&digest(CONTENT), "it is unsafe") == ["small"],
    ];
    for take_back in take_back {
        let supervisor = supervisor();
        let loading = supervisor.clone();
        let approved = approved("small", CONTENT, &PolicySet::empty().unwrap());
        let load = thread::spawn(move || loading.load(approved, parts(), options()).map(|_| ()));
        let begun = Instant::now();
        while !take_back(&supervisor) {
            assert!(begun.elapsed() < Duration::from_secs(20), "nothing is being loaded");
            thread::sleep(Duration::from_millis(5));
        }
        let taken = Instant::now();
        let error = load.join().unwrap().unwrap_err().to_string();
        assert!(error.contains("`small` was revoked: it is unsafe"), "{error}");
        assert!(taken.elapsed() < Duration::from_secs(10), "{:?}", taken.elapsed());
        assert!(supervisor.find("small").is_none());
    }
}

#[test]
fn what_is_taken_back_before_its_files_are_known_is_not_served() {
    let set = PolicySet::empty().unwrap();
    let mut reservation = Reservation::new(Need::of(1, 1, false), approved("small", CONTENT, &set));
    assert!(!reservation.take_back(&Which::Named("other".to_owned()), "no"));
    assert!(reservation.take_back(&Which::Holding(digest(CONTENT)), "it is unsafe"));
    let model = served(&supervisor(), approved("small", CONTENT, &set));
    assert!(
        matches!(reservation.attach(&model), Err(LoadError::Refused { failure, .. }) if failure.kind == FailureKind::Revoked)
    );
}

#[test]
fn callers_of_a_revoked_model_are_told_that_it_was() {
    let supervisor = supervisor();
    let model = served(&supervisor, approved("small", CONTENT, &PolicySet::empty().unwrap()));
    assert!(supervisor.revoke_model("small", "it is unsafe"));
    let handle = Handle::of(Arc::clone(&model));
    assert!(matches!(handle.state(), ModelState::Revoked(_)));
    let embed = weighbridge_inference_wire::Embed {
        texts: vec![String::new()],
        tokens: Vec::new(),
        dimensions: None,
        truncate: false,
    };
    let refusal = handle.submit(weighbridge_gateway::Work::Embed(embed)).err().unwrap();
    assert_eq!((refusal.failure.kind, refusal.retry_after), (FailureKind::Revoked, None));
}

#[test]
fn an_approval_that_changes_reaches_the_model() {
    let supervisor = supervisor();
    let (far, near) = (Timestamp::now() + Duration::from_secs(3600), Timestamp::now() + Duration::from_secs(3));
    let model = served(&supervisor, approved("small", CONTENT, &until(near)));
    // Later: it goes on.
    supervisor.renew(approved("small", CONTENT, &until(far))).unwrap();
    assert_eq!(model.expires(), Some(far));
    // For other files: it does not count.
    let others = supervisor.renew(approved("small", b"another graph", &until(near)));
    assert!(matches!(others, Err(LoadError::OtherFiles(_))), "{others:?}");
    assert!(matches!(supervisor.renew(approved("big", CONTENT, &until(far))), Err(LoadError::NotServed(_))));
    assert_eq!(model.expires(), Some(far));
    // Sooner: it ends then.
    supervisor.renew(approved("small", CONTENT, &until(near))).unwrap();
    let begun = Instant::now();
    while !matches!(Handle::of(Arc::clone(&model)).state(), ModelState::Revoked(_)) {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is still served");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn callers_have_scopes_of_their_own() {
    let (one, other) = (supervisor(), supervisor());
    assert_eq!(one.scope("user:alice"), one.scope("user:alice"));
    assert_ne!(one.scope("user:alice"), one.scope("user:bob"));
    assert_ne!(one.scope("user:alice"), other.scope("user:alice"), "nobody can compute it");
}
