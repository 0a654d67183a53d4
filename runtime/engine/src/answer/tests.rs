use proptest::prelude::*;

use super::*;
use crate::tools::CallFormat;

fn stops(wanted: &[&str]) -> Stops {
    Stops::new(&wanted.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}

/// What an answer of these parts says; texts in a row are one.
fn says(stops: Stops, split: Split, parts: &[&[u8]]) -> (Vec<Said>, bool) {
    let mut answer = Answer::new(stops, split);
    let mut said = Vec::new();
    for part in parts {
        if answer.push(part, &mut said) {
            break;
        }
    }
    let calls = answer.finish(&mut said);
    (said, calls)
}

fn text(text: &str) -> Said {
    Said::Text(text.to_owned())
}

fn call(index: u32, name: &str, arguments: &str) -> Said {
    Said::Call(Call { index, name: name.to_owned(), arguments: arguments.to_owned() })
}

/// The same for every way to cut `input` in two, and byte by byte.
fn always(stops: &Stops, split: &Split, input: &str, expected: &[Said]) {
    let bytes = input.as_bytes();
    for at in 0..=bytes.len() {
        let (said, _) = says(stops.clone(), split.clone(), &[&bytes[..at], &bytes[at..]]);
        assert_eq!(said, expected, "cut at {at}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(says(stops.clone(), split.clone(), &single).0, expected);
}

#[test]
fn stop_texts_are_found_at_every_split() {
    let wanted = stops(&["END", "\n\n"]);
    always(&wanted, &Split::plain(), "some EN text END more", &[text("some EN text ")]);
    always(&wanted, &Split::plain(), "ünï\n\nmore END", &[text("ünï")]);
    always(&wanted, &Split::plain(), "ends with EN", &[text("ends with EN")]);
    always(&stops(&["aab"]), &Split::plain(), "aaaab", &[text("aa")]);
    always(&stops(&["🙂!"]), &Split::plain(), "x🙂🙂!", &[text("x🙂")]);
}

#[test]
fn text_before_a_possible_stop_is_not_held_back() {
    let mut answer = Answer::new(stops(&["</s>"]), Split::plain());
    let mut said = Vec::new();
    answer.push(b"hello <", &mut said);
    assert_eq!(said, [text("hello ")]);
    answer.push(b"b>", &mut said);
    assert_eq!(said, [text("hello <b>")]);
}

#[test]
fn thoughts_are_told_from_the_answer() {
    let split = Split::new(true, false, None);
    let expected = [Said::Thought("hm <b>\n".into()), text("Yes.")];
    always(&Stops::default(), &split, "\n<think>\nhm <b>\n</think>\n\nYes.", &expected);
    always(&Stops::default(), &split, "no <think> later </think>", &[text("no <think> later </think>")]);
    let begun = Split::new(true, true, None);
    always(&Stops::default(), &begun, "hm</think>Yes</think>", &[Said::Thought("hm".into()), text("Yes</think>")]);
    always(&Stops::default(), &begun, "never ends", &[Said::Thought("never ends".into())]);
    always(&Stops::default(), &Split::new(false, true, None), "a</think>b", &[text("a</think>b")]);
}

#[test]
fn a_thought_has_ended_though_its_mark_may_begin_a_stop_text() {
    for stop in ["</think>\n!", "think>\n!", ">!"] {
        let mut answer = Answer::new(stops(&[stop]), Split::new(true, true, None));
        let mut said = Vec::new();
        for part in ["hm", "</th", "ink"] {
            answer.push(part.as_bytes(), &mut said);
            assert!(answer.thinks(), "{stop} after {part}");
        }
        answer.push(b">", &mut said);
        assert!(!answer.thinks(), "{stop}");
        answer.push(b"Yes", &mut said);
        assert!(!answer.thinks());
        answer.finish(&mut said);
        assert_eq!(said, [Said::Thought("hm".into()), text("Yes")]);
    }
}

#[test]
fn hermes_calls_are_held_until_whole() {
    let split = Split::new(false, false, Some(CallFormat::Hermes));
    let input = "I look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"b\": 1, \"a\": \"é\"}}\n</tool_call>\n\
                 <tool_call>{\"name\":\"g\",\"arguments\":{}}</tool_call>";
    let expected = [text("I look.\n"), call(0, "f", "{\"b\":1,\"a\":\"é\"}"), call(1, "g", "{}")];
    always(&Stops::default(), &split, input, &expected);
    let unclosed = "<tool_call>{\"name\":\"f\",\"arguments\":{}}";
    always(&Stops::default(), &split, unclosed, &[call(0, "f", "{}")]);
    let thinking = Split::new(true, false, Some(CallFormat::Hermes));
    let both = [Said::Thought("x".into()), call(0, "f", "{}")];
    always(&Stops::default(), &thinking, "<think>x</think>\n<tool_call>{\"name\":\"f\"}</tool_call>", &both);
}

#[test]
fn what_is_no_call_stays_text() {
    let split = Split::new(false, false, Some(CallFormat::Hermes));
    for broken in [
        "<tool_call>{\"name\": \"f\", \"argu</tool_call> and on",
        "<tool_call>not json</tool_call>",
        "<tool_call>",
        "<tool_call>{\"name\": 3}</tool_call>",
        "<tool_call>{\"name\": \"f\", \"arguments\": [1]}</tool_call>",
        "<tool_cal",
    ] {
        always(&Stops::default(), &split, broken, &[text(broken)]);
    }
    assert!(!says(Stops::default(), split, &[b"<tool_call>x</tool_call>"]).1);
}

#[test]
fn llama_calls_are_whole_answers() {
    let split = Split::new(false, false, Some(CallFormat::Llama));
    let one = "{\"name\": \"f\", \"parameters\": {\"x\": \"1\"}}";
    always(&Stops::default(), &split, one, &[call(0, "f", "{\"x\":\"1\"}")]);
    always(
        &Stops::default(),
        &split,
        &format!("<|python_tag|>{one}; {one}"),
        &[call(0, "f", "{\"x\":\"1\"}"), call(1, "f", "{\"x\":\"1\"}")],
    );
    always(&Stops::default(), &split, "{\"answer\": 42}", &[text("{\"answer\": 42}")]);
    always(&Stops::default(), &split, "Plain {\"name\"", &[text("Plain {\"name\"")]);
    always(&Stops::default(), &split, "<|python_tag|>print(1)", &[text("<|python_tag|>print(1)")]);
}

#[test]
fn mistral_and_phi_calls() {
    let mistral = Split::new(false, false, Some(CallFormat::Mistral));
    let array = "[TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"x\": 1}, \"id\": \"a\"}, {\"name\": \"g\", \"arguments\": {}}]";
    always(&Stops::default(), &mistral, array, &[call(0, "f", "{\"x\":1}"), call(1, "g", "{}")]);
    let named = "ok[TOOL_CALLS]f{\"x\": 1}[TOOL_CALLS]g{}";
    always(&Stops::default(), &mistral, named, &[text("ok"), call(0, "f", "{\"x\":1}"), call(1, "g", "{}")]);
    let phi = Split::new(false, false, Some(CallFormat::Phi));
    let input = "<|tool_call|>[{\"name\": \"f\", \"arguments\": {}}]<|/tool_call|>";
    always(&Stops::default(), &phi, input, &[call(0, "f", "{}")]);
}

proptest! {
    #[test]
    fn without_marks_everything_is_said(input in "[a-d<>{}\\[\\]/_|thinkoclr \n]{0,60}", cuts in prop::collection::vec(0usize..60, 0..5)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &input.as_bytes()[pair[0]..pair[1]]).collect();
        for format in [None, Some(CallFormat::Hermes), Some(CallFormat::Llama), Some(CallFormat::Mistral)] {
            let (said, _) = says(Stops::default(), Split::new(false, false, format), &parts);
            let all: String = said.iter().map(|part| match part { Said::Text(text) => text.as_str(), _ => "?" }).collect();
            prop_assert_eq!(&all, &input);
        }
    }

    #[test]
    fn stops_agree_with_a_plain_search(input in "[abc]{0,30}", stop in "[abc]{1,3}", cut in 0usize..30) {
        let cut = cut.min(input.len());
        let (said, _) = says(stops(&[&stop]), Split::plain(), &[&input.as_bytes()[..cut], &input.as_bytes()[cut..]]);
        let expected = input.split(stop.as_str()).next().unwrap();
        let said: String = said.iter().map(|part| match part { Said::Text(text) => text.as_str(), _ => "?" }).collect();
        prop_assert_eq!(said, expected);
    }
}
