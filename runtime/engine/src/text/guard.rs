//! Which texts steer a model, and how they are kept out of what callers write.

/// Breaks a steering token's text in guarded text; a noncharacter.
pub(super) const SEAM: char = '\u{FDD0}';
/// Marks of turns and tools that no pattern covers.
const MARKS: [&str; 11] = [
    "<start_of_turn>",
    "<end_of_turn>",
    "[INST]",
    "[/INST]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
];

/// Whether a token of this text begins or ends a turn, whatever its file says:
/// `<|…|>` and `<｜…｜>` mark turns in all families that use them. Tags that are
/// text to the model (`<think>`, HTML) are no marks.
pub(super) fn is_mark(text: &str) -> bool {
    let between = |open: &str, close: &str| {
        text.strip_prefix(open).is_some_and(|rest| rest.len() > close.len() && rest.ends_with(close))
    };
    between("<|", "|>") || between("<｜", "｜>") || MARKS.contains(&text)
}

/// The texts to be broken.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// Sorted; none begins with another.
    texts: Vec<String>,
    /// What they begin with, sorted.
    firsts: Vec<char>,
}

impl Guard {
    /// For these texts; single characters cannot be broken.
    pub(super) fn new(mut texts: Vec<String>) -> Self {
        texts.retain(|text| text.chars().nth(1).is_some());
        texts.sort_unstable();
        // What breaks a text breaks all that begin with it.
        texts.dedup_by(|later, kept| later.starts_with(kept.as_str()));
        let mut firsts: Vec<char> = texts.iter().filter_map(|text| text.chars().next()).collect();
        firsts.dedup();
        Self { texts, firsts }
    }

    /// `text` with a seam in each of the texts.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut guarded = String::with_capacity(text.len());
        for (at, character) in text.char_indices() {
            guarded.push(character);
            if self.firsts.binary_search(&character).is_ok() && self.begins(text.get(at..).unwrap_or_default()) {
                guarded.push(SEAM);
            }
        }
        guarded
    }

    /// Whether `rest` begins with one of the texts. That one is the last not
    /// behind `rest`: any between them would begin with it.
    fn begins(&self, rest: &str) -> bool {
        let behind = self.texts.partition_point(|text| text.as_str() <= rest);
        behind.checked_sub(1).and_then(|at| self.texts.get(at)).is_some_and(|text| rest.starts_with(text.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn guard(texts: &[&str]) -> Guard {
        Guard::new(texts.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn marks_of_turns_are_told_from_other_tags() {
        for mark in
            ["<|im_start|>", "<｜User｜>", "<｜tool▁calls▁begin｜>", "[INST]", "<end_of_turn>", "[/TOOL_RESULTS]"]
        {
            assert!(is_mark(mark), "{mark}");
        }
        for text in ["<think>", "</think>", "<table>", "<|>", "<||", "|>", "    ", "<unused7>", "[0]", "<tool_call>"] {
            assert!(!is_mark(text), "{text}");
        }
    }

    #[test]
    fn a_text_that_begins_with_another_is_broken_too() {
        let guard = guard(&["<|a", "<|a|>x", "<|b|>", "x"]);
        assert_eq!(guard.apply("<|a|>x <|b|>x<|c"), format!("<{SEAM}|a|>x <{SEAM}|b|>x<|c"));
    }

    #[test]
    fn a_thousand_marks_cost_no_more_than_a_few() {
        let texts: Vec<String> = (0..2000).map(|n| format!("<|reserved_special_token_{n:04}|>")).collect();
        let guard = Guard::new(texts);
        let hostile = "<|reserved_special_token_".repeat(40_000);
        let started = std::time::Instant::now();
        assert_eq!(guard.apply(&hostile), hostile);
        assert!(started.elapsed() < std::time::Duration::from_millis(500), "{:?}", started.elapsed());
    }

    proptest! {
        #[test]
        fn no_text_survives(texts in prop::collection::vec("[<|ab]{2,4}", 1..12), hostile in "[<|ab ]{0,40}") {
            let guard = Guard::new(texts.clone());
            let guarded = guard.apply(&hostile);
            prop_assert!(texts.iter().all(|text| !guarded.contains(text.as_str())), "{guarded}");
            prop_assert_eq!(guarded.replace(SEAM, ""), hostile.as_str());
            if texts.iter().all(|text| !hostile.contains(text.as_str())) {
                prop_assert_eq!(guarded, hostile);
            }
        }
    }
}
