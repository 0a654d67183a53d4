//! The engine through a repository on disk, as an author writes it.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use crate::*;

/// A repository with these files.
fn repository(files: &[(&str, &str)]) -> (tempfile::TempDir, Repository) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("policies")).unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let repository = Repository::load(dir.path());
    (dir, repository)
}

fn set(files: &[(&str, &str)]) -> PolicySet {
    repository(files).1.into_set().unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn policy(id: &str, rest: &str) -> String {
    format!("@id(\"{id}\") @owner(\"o\") @rationale(\"r\") @severity(\"low\") {rest}\n")
}

fn errors(files: &[(&str, &str)]) -> Vec<String> {
    let (_dir, repository) = repository(files);
    let shown = |p: &Problem| format!("{}:{} {}", p.file, p.line().unwrap_or(0), p.message);
    let errors = repository.problems.iter().filter(|p| p.level == Level::Error).map(shown).collect();
    assert!(repository.is_broken(), "{:?}", repository.problems);
    errors
}

fn warnings(files: &[(&str, &str)]) -> Vec<String> {
    let (_dir, repository) = repository(files);
    assert!(!repository.is_broken(), "{:?}", repository.problems);
    repository.problems.into_iter().map(|p| p.message).collect()
}

fn ask(set: &PolicySet, model: &Assessment, action: Action, mode: Mode) -> Decision {
    let context = Context { mode: Some(mode), ..Context::at("2026-12-01T00:00:00Z".parse().unwrap()) };
    let principal = Principal::User("bob".to_owned());
    decide(&Request { principal: &principal, action, resource: Resource::Model(model), context: &context }, set)
}

fn pickle() -> Assessment {
    Assessment {
        format: "pickle".to_owned(),
        sha256: Some(weighbridge_types::Sha256::new([7; 32])),
        ..Assessment::default()
    }
}

const PERMIT: &str = "permit (principal, action, resource);";

#[test]
fn the_id_is_the_annotation_wherever_the_policy_stands() {
    let (a, b) =
        (policy("a", PERMIT), policy("b", "forbid (principal, action, resource is Model) when { resource.runsCode };"));
    for text in [format!("{a}{b}"), format!("{b}{a}")] {
        let decision = ask(&set(&[("policies/x.cedar", &text)]), &pickle(), Action::Load, Mode::Guard);
        assert_eq!((decision.effect, decision.policies), (Effect::Deny, vec!["b".to_owned()]));
    }
}

#[test]
fn a_forbid_that_cannot_be_evaluated_denies() {
    // Overflow passes the strictest validation and fails at run time.
    let forbid = policy(
        "overflow",
        "forbid (principal, action == Action::\"load\", resource) when { resource.sizeBytes * 4 > 1 };",
    );
    let files = policy("ok", PERMIT) + &forbid;
    let set = set(&[("policies/x.cedar", &files)]);
    let huge = Assessment { size_bytes: u64::MAX, ..pickle() };
    let decision = ask(&set, &huge, Action::Load, Mode::Guard);
    assert_eq!((decision.effect, decision.policies), (Effect::Deny, vec!["overflow".to_owned()]));
    assert_eq!(decision.errors.len(), 1);
    // The same in a permit permits nothing, and nothing else.
    let files =
        policy("overflow", "permit (principal, action, resource is Model) when { resource.sizeBytes * 4 > 1 };");
    let set = self::set(&[("policies/x.cedar", &files)]);
    let decision = ask(&set, &huge, Action::Load, Mode::Lockdown);
    assert_eq!((decision.effect, decision.errors.len()), (Effect::Deny, 1));
}

#[test]
fn no_policies_enforce_nothing() {
    let decision = ask(&PolicySet::empty().unwrap(), &pickle(), Action::Load, Mode::Lockdown);
    assert!(decision.effect == Effect::Allow && !decision.enforced && !decision.errors.is_empty());
}

#[test]
fn approvals_open_lockdown_for_whom_and_what_they_name() {
    let approvals = "- for: { models: [\"sha256:0707070707070707070707070707070707070707070707070707070707070707\"], actions: [load], principals: [user:bob] }\n  set: production\n  approver: alice\n  reason: looked at\n  expires: 2026-12-31\n";
    let files = policy("ok", PERMIT)
        + &policy("set", "forbid (principal, action, resource) unless { resource in ApprovalSet::\"production\" };");
    let set = set(&[("policies/x.cedar", &files), ("data/approvals.yaml", approvals)]);
    assert_eq!(ask(&set, &pickle(), Action::Load, Mode::Lockdown).effect, Effect::Allow);
    assert_eq!(ask(&set, &pickle(), Action::Serve, Mode::Lockdown).effect, Effect::Deny);
    let other = Assessment { sha256: Some(weighbridge_types::Sha256::new([8; 32])), ..pickle() };
    assert_eq!(ask(&set, &other, Action::Load, Mode::Lockdown).effect, Effect::Deny);
    let context = Context { mode: Some(Mode::Lockdown), ..Context::at("2027-01-01T00:00:00Z".parse().unwrap()) };
    let (bob, alice) = (Principal::User("bob".to_owned()), Principal::User("alice".to_owned()));
    let at = |principal, context: &Context| {
        decide(&Request { principal, action: Action::Load, resource: Resource::Model(&pickle()), context }, &set).effect
    };
    assert_eq!(at(&bob, &context), Effect::Deny, "it has expired");
    let before = Context { now: "2026-12-31T23:59:59Z".parse().unwrap(), ..context };
    assert_eq!((at(&bob, &before), at(&alice, &before)), (Effect::Allow, Effect::Deny));
}

#[test]
fn a_name_approves_only_what_is_proven() {
    let approvals =
        |more: &str| format!("- for: {{ models: [\"pkg:huggingface/Org/*\"]{more} }}\n  approver: a\n  reason: r\n");
    let model =
        |strength| Assessment { origins: [("pkg:huggingface/Org/Name".to_owned(), strength)].into(), ..pickle() };
    use weighbridge_types::Strength::{Content, Proof, Record};
    let files = policy("ok", PERMIT);
    for (more, strength, effect) in [
        ("", Proof, Effect::Allow),
        ("", Content, Effect::Deny),
        (", strength: content", Content, Effect::Allow),
        (", strength: content", Record, Effect::Deny),
    ] {
        let set = set(&[("policies/x.cedar", &files), ("data/approvals.yaml", &approvals(more))]);
        assert_eq!(ask(&set, &model(strength), Action::Load, Mode::Lockdown).effect, effect, "{more} {strength:?}");
    }
}

#[test]
fn exceptions_set_one_forbid_aside_and_are_told() {
    let exception = |policy: &str| {
        format!(
            "- id: e1\n  policy: {policy}\n  for: {{ models: [\"sha256:0707070707070707070707070707070707070707070707070707070707070707\"] }}\n  approver: a\n  reason: r\n  granted: 2026-11-20\n  expires: 2026-12-20\n"
        )
    };
    let files = policy("ok", PERMIT)
        + &policy("code", "forbid (principal, action, resource is Model) when { resource.runsCode };")
        + &policy(
            "never",
            "@exceptions(\"none\") forbid (principal, action, resource is Model) when { resource.severity > 4 };",
        );
    let set = set(&[("policies/x.cedar", &files), ("data/exceptions.yaml", &exception("code"))]);
    let decision = ask(&set, &pickle(), Action::Load, Mode::Guard);
    assert_eq!((decision.effect, decision.exceptions), (Effect::Allow, vec!["e1".to_owned()]));
    let wrong = errors(&[("policies/x.cedar", &files), ("data/exceptions.yaml", &exception("never"))]);
    assert!(wrong[0].starts_with("data/exceptions.yaml:2 `never` allows no exceptions"), "{wrong:?}");
    let wrong = errors(&[("policies/x.cedar", &files), ("data/exceptions.yaml", &exception("ok"))]);
    assert!(wrong[0].contains("is a permit"), "{wrong:?}");
    let long = exception("code").replace("2026-12-20", "2027-02-19");
    assert!(
        errors(&[("policies/x.cedar", &files), ("data/exceptions.yaml", &long)])[0].contains("longer than 90 days")
    );
    let exact = exception("code").replace("2026-12-20", "2027-02-18");
    self::set(&[("policies/x.cedar", &files), ("data/exceptions.yaml", &exact)]);
}

#[test]
fn policies_about_one_model_and_about_groups_of_them_count() {
    let one = "07".repeat(32);
    let files = policy("ok", PERMIT)
        + &policy("this", &format!("forbid (principal, action, resource == Model::\"{one}\");"))
        + &policy("family", "forbid (principal, action, resource in Family::\"llama\");");
    let set = set(&[("policies/x.cedar", &files)]);
    assert_eq!(ask(&set, &pickle(), Action::Load, Mode::Guard).policies, ["this"]);
    let other = Assessment { sha256: None, family: Some("llama".to_owned()), ..pickle() };
    assert_eq!(ask(&set, &other, Action::Load, Mode::Guard).policies, ["family"]);
    let other = Assessment { sha256: None, ..pickle() };
    assert_eq!(ask(&set, &other, Action::Load, Mode::Guard).policies, ["ok"]);
}

#[test]
fn expired_policies_are_as_if_they_were_not_there() {
    let forbid = "@expires(\"2026-11-30\") forbid (principal, action, resource);";
    let files = policy("ok", PERMIT) + &policy("old", forbid);
    assert_eq!(ask(&set(&[("policies/x.cedar", &files)]), &pickle(), Action::Load, Mode::Guard).policies, ["ok"]);
    let files = files.replace("11-30", "12-01");
    assert_eq!(ask(&set(&[("policies/x.cedar", &files)]), &pickle(), Action::Load, Mode::Guard).policies, ["old"]);
}

#[test]
fn mistakes_are_told_with_file_and_line() {
    let ok = policy("ok", PERMIT);
    let told = |rest: &str, word: &str| {
        let files = format!("{ok}\n{rest}");
        let errors = errors(&[("policies/a/x.cedar", &files)]);
        assert!(
            errors.iter().any(|e| e.starts_with("policies/a/x.cedar:3 ") && e.contains(word)),
            "{word}: {errors:?}"
        );
    };
    told(&policy("x", "forbid (principal, action, resource"), "unexpected");
    told(
        &policy("x", "forbid (principal, action == Action::\"load\", resource) when { resource.sizee > 1 };"),
        "`sizee`",
    );
    told(
        &policy("x", "forbid (principal, action == Action::\"load\", resource) when { resource.parameters > 1 };"),
        "optional attribute",
    );
    told(&policy("x", "forbid (principal, action == Action::\"lode\", resource);"), "lode");
    told(
        &policy(
            "x",
            "forbid (principal, action == Action::\"load\", resource) when { resource.verdict == Verdict::\"bad\" };",
        ),
        "bad",
    );
    told(&policy("ok", "forbid (principal, action, resource);"), "is taken");
    told("forbid (principal, action, resource);", "no `@id");
    told(&policy("x", "@obligation(\"delete\") forbid (principal, action, resource);"), "`delete`");
    told(&policy("x", "@exspires(\"2026-01-01\") forbid (principal, action, resource);"), "`@exspires`");
    told(&policy("x", "@expires(\"soon\") forbid (principal, action, resource);"), "`soon`");
}

#[test]
fn data_mistakes_are_told_with_file_and_line() {
    let ok = policy("ok", PERMIT);
    let told = |name: &str, text: &str, place: &str, word: &str| {
        let errors = errors(&[("policies/x.cedar", &ok), (name, text)]);
        assert!(errors.iter().any(|e| e.starts_with(place) && e.contains(word)), "{word}: {errors:?}");
    };
    told("fleet/teams.yaml", "default: { mode: guard }\nteams:\n  x: { mode: gard }\n", "fleet/teams.yaml:3 ", "gard");
    told(
        "data/approvals.yaml",
        "- for: { models: [x] }\n  approver: a\n  reason: r\n",
        "data/approvals.yaml:1 ",
        "`x` is no model",
    );
    told("data/approvals.yaml", "- aprover: a\n", "data/approvals.yaml:1 ", "aprover");
    told(
        "data/exceptions.yaml",
        "- id: e\n  policy: ok\n  for: {}\n  approver: a\n  reason: r\n  granted: 2026-01-01\n",
        "data/exceptions.yaml:",
        "expires",
    );
    told("data/groups.yaml", "a: {members: []}\na: {members: [x]}\n", "data/groups.yaml:2 ", "a");
}

#[test]
fn what_can_never_matter_is_told() {
    let ok = policy("ok", PERMIT);
    let warned = |rest: &str, word: &str| {
        let warnings = warnings(&[("policies/x.cedar", &format!("{ok}{rest}"))]);
        assert!(warnings.iter().any(|w| w.contains(word)), "{word}: {warnings:?}");
    };
    warned(&policy("b", "permit (principal, action == Action::\"load\", resource);"), "`b` never matters: `ok` covers");
    warned(&policy("b", PERMIT), "`ok`");
    warned(&policy("b", "forbid (principal in Group::\"nobody\", action, resource);"), "no data file knows");
    warned(&policy("b", "forbid (principal, action, resource) when { false };"), "impossible");
    assert!(warnings(&[("policies/x.cedar", &ok)]).is_empty());
}

#[test]
fn hostile_repositories_are_refused_in_bounded_time() {
    let ok = policy("ok", PERMIT);
    let started = std::time::Instant::now();
    let deep = |open: &str, close: &str, n: usize| {
        policy(
            "x",
            &format!("forbid (principal, action, resource) when {{ {}true{} }};", open.repeat(n), close.repeat(n)),
        )
    };
    for text in [
        deep("(", ")", 100_000),
        deep("[", "]", 100_000),
        deep("!", "", 100_000),
        deep("if true then ", " else true", 30_000),
        deep("true && ", "", 100_000),
        deep("\"a\" == ", "", 50_000),
        format!("@id(\"{}\") {PERMIT}", "a".repeat(1 << 19)),
        "\u{0}".repeat(1000),
    ] {
        errors(&[("policies/x.cedar", &text)]);
    }
    assert!(warnings(&[("policies/x.cedar", &"/".repeat(1 << 20))])[0].contains("no policies"));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..30 {
        bomb += &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", "));
    }
    for (name, text) in [
        ("data/groups.yaml", bomb.as_str()),
        ("data/approvals.yaml", &"[".repeat(100_000)),
        ("data/providers.yaml", &"- ".repeat(100_000)),
        ("data/licences.yaml", "\u{0}"),
        ("data/exceptions.yaml", &"x".repeat((16 << 20) + 1)),
        ("fleet/teams.yaml", "- 1"),
    ] {
        errors(&[("policies/x.cedar", &ok), (name, text)]);
    }
    #[cfg(unix)]
    {
        let (dir, _) = repository(&[("policies/x.cedar", &ok)]);
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("policies/y.cedar")).unwrap();
        let repository = Repository::load(dir.path());
        assert!(repository.problems.iter().any(|p| p.to_string().contains("is a link")), "{:?}", repository.problems);
    }
    let many: String = (0..10_000)
        .map(|n| policy(&format!("p{n}"), &format!("forbid (principal, action, resource in Family::\"f{n}\");")))
        .collect();
    let (one, two) = many.split_at(many.len() / 2);
    let at = two.find("@id").unwrap();
    let files = [("policies/a.cedar", format!("{one}{}", &two[..at])), ("policies/b.cedar", two[at..].to_owned())];
    let set = set(&[(files[0].0, &files[0].1), (files[1].0, &files[1].1)]);
    assert_eq!(set.ids().count(), 10_000);
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
    assert!(Repository::load(Path::new("/nonexistent")).is_broken());
}

#[test]
fn the_starter_is_sound_and_never_overwrites() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path()).unwrap();
    let repository = Repository::load(dir.path());
    assert!(repository.problems.is_empty(), "{:?}", repository.problems);
    let run = run_tests(&repository, "2026-11-21T00:00:00Z".parse().unwrap());
    assert!(run.problems.is_empty() && run.untested.is_empty(), "{run:?}");
    assert!(run.outcomes.len() > 10);
    for outcome in &run.outcomes {
        assert!(outcome.failures.is_empty(), "{outcome:?}");
    }
    fs::write(dir.path().join("README.md"), "mine").unwrap();
    assert_eq!(init(dir.path()).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(dir.path().join("README.md")).unwrap(), "mine");
}

#[test]
fn bundles_that_were_altered_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (dir.path().join("d"), dir.path().join("b"));
    init(&source).unwrap();
    let now = "2026-11-21T00:00:00Z".parse().unwrap();
    assert_eq!(bundle(&Repository::load(&source), &out, now).unwrap(), 10);
    assert!(Repository::load(&out).problems.is_empty());
    assert!(bundle(&Repository::load(&source), &out, now).is_err(), "it is not empty");
    let refused = |word: &str| {
        let repository = Repository::load(&out);
        let told: Vec<String> = repository.problems.iter().map(ToString::to_string).collect();
        assert!(repository.is_broken() && told.iter().any(|t| t.contains(word)), "{word}: {told:?}");
    };
    let teams = out.join("fleet/teams.yaml");
    let before = fs::read_to_string(&teams).unwrap();
    fs::write(&teams, before.replace("guard }", "observe }")).unwrap();
    refused("fleet/teams.yaml: was altered");
    fs::remove_file(&teams).unwrap();
    refused("fleet/teams.yaml: is listed in bundle.json and missing");
    fs::write(&teams, before).unwrap();
    fs::write(out.join("policies/more.cedar"), policy("more", PERMIT)).unwrap();
    refused("policies/more.cedar: is not in bundle.json");
    fs::remove_file(out.join("policies/more.cedar")).unwrap();
    assert!(!Repository::load(&out).is_broken());
    fs::write(out.join("bundle.json"), "{}").unwrap();
    refused("bundle.json: is no list");
}

#[test]
fn tests_that_fail_and_tests_that_cannot_run_are_told_apart() {
    let ok = policy("ok", PERMIT)
        + &policy("code", "forbid (principal, action, resource is Model) when { resource.runsCode };");
    let run = |cases: &str| {
        let (_dir, repository) = repository(&[("policies/x.cedar", &ok), ("tests/x.yaml", cases)]);
        run_tests(&repository, "2026-11-21T00:00:00Z".parse().unwrap())
    };
    let wrong = run(
        "- name: n\n  model: {format: pickle}\n  user: a\n  action: load\n  expect: {effect: allow, policies: [ok], obligations: [alert]}\n",
    );
    assert_eq!((wrong.outcomes[0].failures.len(), wrong.untested), (3, vec!["ok".to_owned()]));
    for (cases, word) in [
        (
            "- name: n\n  model: {}\n  user: a\n  action: load\n  expect: {effect: allow, policies: [typo]}\n",
            "no policy `typo`",
        ),
        ("- name: n\n  model: {formt: pickle}\n  user: a\n  action: load\n  expect: {effect: allow}\n", "formt"),
        (
            "- name: n\n  model: {from: ../x.json}\n  user: a\n  action: load\n  expect: {effect: allow}\n",
            "below tests/",
        ),
        (
            "- name: n\n  model: {from: x.json}\n  user: a\n  action: load\n  expect: {effect: allow}\n",
            "no file tests/x.json",
        ),
        ("- name: n\n  model: {}\n  action: load\n  expect: {effect: allow}\n", "who acts"),
        ("- name: n\n  model: {}\n  user: a\n  action: lode\n  expect: {effect: allow}\n", "lode"),
        ("- name: n\n", "action"),
    ] {
        let run = run(cases);
        assert!(
            run.problems.iter().any(|p| p.message.contains(word) && p.line().is_some()),
            "{word}: {:?}",
            run.problems
        );
    }
}

#[test]
fn the_formats_that_run_code_are_those_of_the_scanner() {
    let formats: Vec<_> = weighbridge_formats::FORMATS.iter().filter(|f| f.runs_code).collect();
    for format in formats.iter().filter(|f| f.is_model) {
        assert!(assessment::RUNS_CODE.contains(&format.id), "{} is missing", format.id);
    }
    for id in assessment::RUNS_CODE {
        assert!(formats.iter().any(|f| f.id == *id), "{id} runs no code");
    }
}

#[test]
fn the_fuzzed_files_are_there() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path()).unwrap();
    let listed = include_str!("../fuzz/policy.txt").lines().filter(|l| !l.starts_with('#'));
    // A file to begin with may follow.
    for name in listed.filter_map(|line| line.split(' ').next()) {
        assert!(name == "bundle.json" || dir.path().join(name).exists(), "{name}");
    }
}

fn any_assessment() -> impl Strategy<Value = Assessment> {
    use weighbridge_types::{Severity, Strength, Verdict};
    let verdict = prop::sample::select(vec![Verdict::Clean, Verdict::Unknown, Verdict::Suspicious, Verdict::Malicious]);
    let format = prop::sample::select(vec!["pickle", "gguf", "safetensors", "x\u{0}\"\\"]);
    let signature =
        prop::sample::select(vec![SignatureStatus::Unsigned, SignatureStatus::Trusted, SignatureStatus::Untrusted]);
    let severity = prop::option::of(prop::sample::select(Severity::ALL.to_vec()));
    let origin = prop::option::of(prop::sample::select(vec![Strength::Hint, Strength::Content, Strength::Proof]));
    let licence = prop::option::of(prop::sample::select(vec!["mit", "cc-by-nc-4.0", "other"]));
    (verdict, format, signature, severity, origin, licence, any::<u64>(), ".{0,20}").prop_map(
        |(verdict, format, signature, severity, origin, licence, size_bytes, name)| Assessment {
            verdict,
            format: format.to_owned(),
            signature,
            severity,
            advisory_severity: severity,
            origin,
            origins: origin.map(|o| ("pkg:huggingface/google/x".to_owned(), o)).into_iter().collect(),
            licences: licence.map(str::to_owned).into_iter().collect(),
            size_bytes,
            name,
            ..pickle()
        },
    )
}

/// A condition in Cedar's syntax, true, false or failing of a model.
fn any_condition() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "resource.verdict == Verdict::\"clean\"",
        "resource.verdict != Verdict::\"malicious\"",
        "resource.signature == Signature::\"trusted\"",
        "resource.origin == Strength::\"proof\"",
        "resource.licenceClass == LicenceClass::\"permissive\"",
        "resource.format == \"pickle\"",
        "\"gguf\" == resource.format",
        "resource.name == \"\"",
        "resource.runsCode",
        "resource.sizeBytes > 9223372036854775806",
        "resource.sizeBytes <= 1000000",
        "resource.severity >= 3",
        "1 < resource.advisorySeverity",
        "resource.advisorySeverity < 2",
        "resource.severity == 0",
        "resource.licences.contains(\"mit\")",
        "resource.findings.isEmpty()",
        "resource.origins.contains(\"pkg:huggingface/google/x\")",
        "resource in Publisher::\"google\"",
        "resource in Publisher::\"known\"",
        "resource in Hub::\"huggingface\"",
        "resource in ApprovalSet::\"approved\"",
        "principal == User::\"bob\"",
        "(resource has parameters && resource.parameters > 5)",
        "resource.sizeBytes * 4 > 1",
        "resource.name like \"*a*\"",
        "context.mode == Mode::\"guard\"",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) || ({b})")),
        ]
    })
}

fn starter(extra: &str) -> PolicySet {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path()).unwrap();
    fs::write(dir.path().join("policies/extra.cedar"), extra).unwrap();
    Repository::load(dir.path()).into_set().unwrap_or_else(|p| panic!("{p:?}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decisions_keep_their_promises(
        model in any_assessment(),
        action in prop::sample::select(Action::ALL[..6].to_vec()),
        mode in prop::sample::select(vec![Mode::Observe, Mode::Guard, Mode::Lockdown]),
    ) {
        thread_local! {
            static SETS: [PolicySet; 2] = [
                starter(""),
                starter(&policy("more", "forbid (principal, action, resource is Model) when { resource.sizeBytes > 1000 && resource.verdict != Verdict::\"clean\" };")),
            ];
        }
        let (before, after) = SETS.with(|[a, b]| (ask(a, &model, action, mode), ask(b, &model, action, mode)));
        prop_assert!(before.effect == Effect::Allow || after.effect == Effect::Deny, "a forbid allowed {before:?} {after:?}");
        for decision in [&before, &after] {
            prop_assert!(mode != Mode::Observe || !decision.enforced);
            prop_assert!(mode != Mode::Observe || decision.obligations.iter().all(|o| o.kind == ObligationKind::Alert));
            prop_assert!(decision.errors.is_empty());
            prop_assert!(decision.effect == Effect::Allow || !decision.policies.is_empty());
            prop_assert!(mode != Mode::Lockdown || decision.effect == Effect::Deny, "nothing is approved here");
        }
        prop_assert_eq!(&before, &SETS.with(|[a, _]| ask(a, &model, action, mode)));
        // Slices leave out only what does not apply: every policy, asked alone
        // and with every fact, says the same.
        let alone = SETS.with(|[_, b]| {
            let context = Context { mode: Some(mode), ..Context::at("2026-12-01T00:00:00Z".parse().unwrap()) };
            let principal = Principal::User("bob".to_owned());
            explain(&Request { principal: &principal, action, resource: Resource::Model(&model), context: &context }, b).unwrap()
        });
        let forbids: Vec<String> = alone.policies.into_iter().filter(|p| p.applies && p.forbids).map(|p| p.id).collect();
        let (trial, forbids): (Vec<_>, Vec<_>) = forbids.into_iter().partition(|id| id.starts_with("alert-"));
        prop_assert_eq!(&after.monitored, &trial);
        prop_assert!(forbids.is_empty() && after.policies.iter().all(|p| p.starts_with("mode:") || p == "allow-unless-forbidden") || after.policies == forbids, "{:?} {:?}", after, forbids);
    }

    /// What is left out by its first conditions is what Cedar would find not
    /// to apply and not to fail.
    #[test]
    fn guards_leave_out_only_what_does_not_apply(
        models in prop::collection::vec(any_assessment(), 8),
        conditions in prop::collection::vec((any_condition(), prop::option::of(any_condition())), 12),
    ) {
        let mut text = policy("ok", PERMIT);
        for (n, (when, unless)) in conditions.iter().enumerate() {
            let unless = unless.as_ref().map(|u| format!("unless {{ {u} }}")).unwrap_or_default();
            text += &policy(&format!("p{n}"), &format!("forbid (principal, action, resource is Model) when {{ {when} }} {unless};"));
        }
        let publishers = "- id: google\n  origins: [\"pkg:huggingface/google/*\"]\n";
        let set = set(&[("policies/x.cedar", &text), ("data/publishers.yaml", publishers)]);
        let (principal, context) = (Principal::User("bob".to_owned()), Context::at(jiff::Timestamp::UNIX_EPOCH));
        for model in &models {
            let request = Request { principal: &principal, action: Action::Load, resource: Resource::Model(model), context: &context };
            let question = decide::question(&request, &set).unwrap();
            let facts = guard::Facts {
                model,
                licence_class: entities::class(model, &set.data),
                scopes: &question.scopes,
            };
            prop_assert_eq!(
                set.slices.ask(Action::Load, &question, Some(&facts)),
                set.slices.ask(Action::Load, &question, None)
            );
        }
    }

    #[test]
    fn expired_exceptions_never_allow(granted in 0i64..400, life in 0i64..91, now in -30i64..600) {
        let start: jiff::civil::Date = "2026-01-01".parse().unwrap();
        let day = |n: i64| start.checked_add(jiff::Span::new().days(n)).unwrap();
        let exception = format!("- id: e1\n  policy: code\n  for: {{ models: [\"sha256:0707070707070707070707070707070707070707070707070707070707070707\"] }}\n  approver: a\n  reason: r\n  granted: {}\n  expires: {}\n", day(granted), day(granted + life));
        let files = policy("ok", PERMIT) + &policy("code", "forbid (principal, action, resource is Model) when { resource.runsCode };");
        let set = set(&[("policies/x.cedar", &files), ("data/exceptions.yaml", &exception)]);
        let context = Context { mode: Some(Mode::Guard), ..Context::at(format!("{}T12:00:00Z", day(now)).parse().unwrap()) };
        let bob = Principal::User("bob".to_owned());
        let decision = decide(&Request { principal: &bob, action: Action::Load, resource: Resource::Model(&pickle()), context: &context }, &set);
        prop_assert_eq!(decision.effect == Effect::Allow, (granted..=granted + life).contains(&now));
    }
}
