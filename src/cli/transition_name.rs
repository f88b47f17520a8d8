//! Transitions as people name them: the whole name, or an end of it that no other name has.

use crate::types::names::Transition;

/// A transition by its name, such as `Boot_ConfigOk`, or by the last words of it, such as `ConfigOk`. The error for an end of several
/// names lists them; the one for an unknown name has the nearest.
pub(super) fn parse(text: &str) -> Result<Transition, String> {
    if let Ok(transition) = text.parse() {
        return Ok(transition);
    }
    let ended: Vec<Transition> = Transition::ALL.iter().copied().filter(|name| ends_in(name.as_str(), text)).collect();
    match ended.as_slice() {
        [one] => Ok(*one),
        [] => Err(unknown(text)),
        several => {
            let names: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
            Err(format!("{text:?} is the end of several names: {}; write one of them", names.join(", ")))
        }
    }
}

/// Whether a name ends in these words. `Ok` is the end of `Boot_ConfigOk`, and so is `_ConfigOk`; `k` is not.
fn ends_in(name: &str, text: &str) -> bool {
    let word = text.strip_prefix('_').unwrap_or(text);
    word.starts_with(|first: char| first.is_ascii_uppercase()) && name.ends_with(text)
}

/// Names that an error lists, at most.
const MOST_NAMES: usize = 4;
/// Likeness from which a name may be what a slip meant.
const NEAR: f64 = 0.8;

fn unknown(text: &str) -> String {
    let near = near(text);
    let hint = match near.as_slice() {
        [] => "`swoosh inputs` lists all of them".to_owned(),
        [one] => format!("did you mean {one}?"),
        several => format!("did you mean one of {}?", several.join(", ")),
    };
    if text.is_empty() {
        format!("a transition has a name; {hint}")
    } else {
        format!("there is no transition {text:?}; {hint}")
    }
}

/// The names that a text may have meant: those that end in it, else those that have it inside, else the nearest one. Case does not count.
fn near(text: &str) -> Vec<&'static str> {
    let text = text.trim_start_matches('_').to_lowercase();
    let names = || Transition::ALL.iter().map(|transition| transition.as_str());
    if text.is_empty() {
        return Vec::new();
    }
    let rules: [fn(&'static str, &str) -> bool; 3] = [
        |name, text| word_starts(name).any(|end| end.to_lowercase() == text),
        |name, text| word_starts(name).any(|end| end.to_lowercase().starts_with(text)),
        // One or two letters are in almost every name.
        |name, text| text.len() > 2 && name.to_lowercase().contains(text),
    ];
    let found = rules.iter().map(|rule| names().filter(|name| rule(name, &text)).take(MOST_NAMES).collect::<Vec<_>>());
    if let Some(found) = found.into_iter().find(|found| !found.is_empty()) {
        return found;
    }
    let likeness = |name: &'static str| {
        let ends = word_starts(name).map(|end| strsim::jaro_winkler(&text, &end.to_lowercase()));
        ends.fold(0.0, f64::max)
    };
    let nearest = names().map(|name| (likeness(name), name)).max_by(|a, b| a.0.total_cmp(&b.0));
    nearest.filter(|(likeness, _)| *likeness >= NEAR).map(|(_, name)| name).into_iter().collect()
}

/// The name from each of its words on: `Control_Pause`, `Pause`.
fn word_starts(name: &'static str) -> impl Iterator<Item = &'static str> {
    name.char_indices().filter(|(_, first)| first.is_ascii_uppercase()).filter_map(|(at, _)| name.get(at..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_of_one_name_alone_names_the_transition() {
        assert_eq!(parse("Control_Pause"), Ok(Transition::ControlPause));
        assert_eq!(parse("_Pause"), Ok(Transition::ControlPause));
        assert_eq!(parse("ConfigOk"), Ok(Transition::BootConfigOk));
        assert_eq!(parse("AllReady"), Ok(Transition::ExecutionAllReady));
        assert_eq!(parse("ReviewGate"), Ok(Transition::ExecutionBeatReviewGate));
    }

    #[test]
    fn an_end_of_several_names_is_refused_with_all_of_them() {
        let said = parse("Reaffirm").unwrap_err();
        assert!(said.contains("Council_Reaffirm, Environment_Reaffirm"), "{said}");
        let said = parse("Green").unwrap_err();
        assert!(said.contains("Council_McpGreen") && said.contains("Environment_Green"), "{said}");
    }

    /// `pause` led to another transition, and an empty text to the first of the list.
    #[test]
    fn other_texts_are_refused_with_names_that_end_in_them_have_them_or_are_near() {
        let meant =
            |text: &str| parse(text).unwrap_err().split_once("did you mean ").map(|(_, names)| names.to_owned());
        for (text, name) in [
            ("pause", "Control_Pause?"),
            ("_pause", "Control_Pause?"),
            ("control_pause", "Control_Pause?"),
            ("Control_Paus", "Control_Pause?"),
            ("Contrl_Pause", "Control_Pause?"),
            ("Puase", "Control_Pause?"),
            ("allready", "Execution_AllReady?"),
        ] {
            assert_eq!(meant(text).as_deref(), Some(name), "{text}");
        }
        let plans = meant("Plan").unwrap();
        assert!(plans.contains("Execution_PlanLocked") && plans.contains("Execution_PlanChange"), "{plans}");
        for text in ["", "_", "k", "xyzzy"] {
            let said = parse(text).unwrap_err();
            assert!(!said.contains("did you mean") && said.contains("swoosh inputs"), "{text}: {said}");
        }
    }
}
