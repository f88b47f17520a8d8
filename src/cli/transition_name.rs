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

/// Whether a name ends in these words. `Ok` is the end of `Boot_ConfigOk`, `k` is not.
fn ends_in(name: &str, text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_uppercase()) && name.ends_with(text)
}

fn unknown(text: &str) -> String {
    let likeness = |name: &&Transition| strsim::jaro_winkler(&text.to_lowercase(), &name.as_str().to_lowercase());
    match Transition::ALL.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))) {
        Some(name) => format!("there is no transition {text:?}; did you mean {name}?"),
        None => format!("there is no transition {text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_of_one_name_alone_names_the_transition() {
        assert_eq!(parse("Control_Pause"), Ok(Transition::ControlPause));
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

    #[test]
    fn other_texts_are_refused_with_the_nearest_name() {
        for text in ["control_pause", "", "k", "use", "_Pause"] {
            assert!(parse(text).unwrap_err().contains("did you mean"), "{text}");
        }
        assert!(parse("control_pause").unwrap_err().ends_with("did you mean Control_Pause?"));
    }
}
