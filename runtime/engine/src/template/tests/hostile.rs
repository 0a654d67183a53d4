//! Templates that nest, circle and compare without end.

use super::*;

/// Ends in a failure of the model, soon, on a thread's usual stack.
fn refused(source: &str) -> String {
    let source = source.to_owned();
    let rendered = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        let started = Instant::now();
        let said = try_render(&source, &talk());
        assert!(started.elapsed() < Duration::from_secs(5), "{source} took {:?}", started.elapsed());
        said.map(|said| said.len())
    });
    let failure = rendered.unwrap().join().unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Model);
    failure.message
}

#[test]
fn namespaces_form_no_circles() {
    for source in [
        "{% set a = namespace() %}{% set a.x = a %}",
        "{% set a = namespace() %}{% set b = namespace() %}{% set a.x = a %}{% set b.x = b %}{{ a == b }}",
        "{% set a = namespace() %}{% set a.x = [a] %}",
        "{% set a = namespace() %}{% set a.x = {a: 1} %}",
        "{% set a = namespace() %}{% set y = [a, 1] %}{% set a.x = {y[1:]: 1} %}",
        "{% set a = namespace() %}{% set a.x = {'k': (a, 1)} %}",
        "{% set a = namespace() %}{% set b = namespace(x=a) %}{% set a.x = b %}",
        "{% set a = namespace() %}{% set y = a, 1 %}{% set a.x, z = y, 1 %}",
        "{% set a = namespace() %}{% macro m() %}{{ a.x }}{% endmacro %}{% set a.x = m %}",
        "{% set a = namespace() %}{% for i in [1] %}{% set a.x = loop %}{% endfor %}",
    ] {
        assert!(refused(source).contains("holds data"), "{source}");
    }
    assert!(refused("{% for i in [1] %}{{ loop.changed(loop) }}{% endfor %}").contains("changed"));
    // A part of a list does not hold on to the rest of it.
    assert_eq!(render("{% set a = namespace() %}{% set y = [a, 1] %}{% set a.x = y[1:] %}{{ a.x }}", &talk()), "[1]");
}

#[test]
fn nesting_has_an_end() {
    let around = |step: &str| {
        format!("{{% set ns = namespace(x=1) %}}{{% for i in range(90000) %}}{{% set ns.x = {step} %}}{{% endfor %}}")
    };
    for step in ["dict(a=ns.x)", "namespace(a=ns.x)", "[ns.x]", "(ns.x,)", "{'a': ns.x}", "dict({'a': ns.x})"] {
        refused(&around(step));
    }
    for step in ["x, x", "(x,)", "dict(a=x)", "namespace(a=x)"] {
        let source = "{% set x = 1 %}".to_owned() + &format!("{{% set x = {step} %}}").repeat(4000);
        refused(&source);
    }
    // Lists that others are computed from are copied instead of kept.
    for step in ["x[0:]", "x | reverse"] {
        let source = "{% set x = [1] %}".to_owned() + &format!("{{% set x = {step} %}}").repeat(4000) + "{{ x }}";
        assert_eq!(render(&source, &talk()), "[1]");
        let ns = step.replace('x', "ns.x");
        let source =
            "{% set ns = namespace(x=[1]) %}{% for i in range(4000) %}{% set ns.x = STEP %}{% endfor %}{{ ns.x }}";
        assert_eq!(render(&source.replace("STEP", &ns), &talk()), "[1]");
    }
}

#[test]
fn comparing_costs_what_is_compared() {
    let lists = "{% set a = range(50000) | list %}{% set b = range(50000) | list %}\
                 {% set c = [a] %}{% set d = [b] %}{% set e = {} %}";
    for comparison in [
        "a == b",
        "a != b",
        "a < b",
        "a >= b",
        "b in c",
        "b not in c",
        "b in e",
        "e[b]",
        "e.get(b)",
        "a is eq(b)",
        "b is in c",
        "c + c + c == d + d + d",
        "(c + c + c)[0:] == (d + d + d)[0:]",
        "[1] if a == b else 2",
    ] {
        refused(&format!("{lists}{{% for i in range(90000) %}}{{% if {comparison} %}}{{% endif %}}{{% endfor %}}"));
    }
    for filter in ["selectattr('x', 'eq', b)", "select('==', b)", "select('in', d)"] {
        refused(&format!("{lists}{{% for i in range(90000) %}}{{% set x = c | {filter} | list %}}{{% endfor %}}"));
    }
}

#[test]
fn comparisons_say_what_they_said() {
    for (source, said) in [
        ("{{ messages[0].role == 'system' and messages[1]['role'] != 'system' }}", "True"),
        ("{{ 'e' in messages[0].content and 'ü' not in messages[0].content }}", "True"),
        ("{{ messages[0].role in ['system', 'user'] }}{{ messages[0].role in ('a', 'b') }}", "TrueFalse"),
        ("{{ missing == 'x' }}{{ missing is defined }}{{ missing in ['x'] }}", "FalseFalseFalse"),
        ("{{ 1 + 2 == 3 }}{{ not 2 * 2 == 5 }}{{ 1 < 2 <= 2 }}{{ -1 == -1 }}", "TrueTrueTrueTrue"),
        ("{% for k, v in {'a': 1}.items() if k in 'abc' %}{{ k }}{{ v }}{% endfor %}", "a1"),
        ("{% for (k, v) in [('a', 1)] %}{{ k }}{{ v }}{% endfor %}", "a1"),
        ("{% set (a, b) = (1, 2) %}{% set c, d = b, a %}{{ a }}{{ b }}{{ c }}{{ d }}", "1221"),
        ("{% with (a, b) = (1, 2), c = 3 %}{{ a }}{{ b }}{{ c }}{% endwith %}", "123"),
        (
            "{% set ns = namespace(a=1, b='x') %}{% set ns.a = ns.a + 1 %}{% set ns.b %}y{% endset %}{{ ns.a }}{{ ns.b }}",
            "2y",
        ),
        (
            "{% set ns = namespace(l=[]) %}{% for m in messages %}{% set ns.l = ns.l + [m.role] %}{% endfor %}{{ ns.l | length }}",
            "4",
        ),
        (
            "{% set ns = namespace(l=[]) %}{% set ns.l = messages[1:] %}{{ ns.l[0].role }}{{ ns.l[ns.l | length - 1].content }}",
            "userBye",
        ),
        ("{% set i = 1 %}{{ messages[i - 1].role }}{{ {'ab': 7}['a' ~ 'b'] }}", "system7"),
        ("{{ dict(a=1, b=2).b }}{{ 3 is eq 3 }}{{ 3 is in [3] }}{{ 3 is not in [3] }}", "2TrueTrueFalse"),
        (
            "{{ 'x' if messages | length == 4 else 'y' }}{{ messages | selectattr('role', '==', 'user') | list | length }}",
            "x2",
        ),
    ] {
        assert_eq!(render(source, &talk()), said, "{source}");
    }
    let mut messages = Vec::new();
    for turn in 0..1000 {
        let role = if turn % 2 == 0 { "user" } else { "assistant" };
        messages.push(message(role, &format!("{turn}{}", " word".repeat(20))));
    }
    let source = "{% set ns = namespace(l=[]) %}{% for m in messages %}{% if 'w' in m.content and m != messages[-1] %}\
                  {% set ns.l = ns.l + [m] %}{% endif %}{% endfor %}{{ ns.l | length }}";
    assert_eq!(render(source, &chat(messages)), "999", "a long conversation fits");
}
