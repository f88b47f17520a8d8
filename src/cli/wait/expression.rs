//! Expressions over a project's state: `ingestion == READY and execution.beat >= 2`.

use std::str::FromStr;

use serde_json::Value;

use super::tokens::{self, Token};
use crate::machine::state::{Section, State, TopPhase};
use crate::types::names::{
    BootState, ControlState, CouncilState, EnvironmentState, ExecutionState, IngestionState, PolicyState, Region,
};

/// One or more conditions that must hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Expression {
    text: String,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    NoEffects,
    Compared { path: Path, comparison: Comparison },
}

/// A place in the state document: a section and members below it, or `index` or `phase`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Path(Vec<String>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Comparison {
    In(Vec<String>),
    NotIn(Vec<String>),
    AtLeast(u64),
    Above(u64),
    AtMost(u64),
    Below(u64),
}

/// A project at one moment.
pub(super) struct Moment {
    index: u64,
    state: State,
    document: Value,
}

impl Moment {
    pub fn new(index: u64, state: State) -> anyhow::Result<Moment> {
        let document = serde_json::to_value(&state)?;
        Ok(Moment { index, state, document })
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn index(&self) -> u64 {
        self.index
    }

    fn value(&self, path: &Path) -> Value {
        match path.0.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["index"] => self.index.into(),
            ["phase"] => serde_json::to_value(self.state.phase()).unwrap_or_default(),
            names => names.iter().fold(self.document.clone(), |value, name| value[*name].clone()),
        }
    }
}

impl Expression {
    /// Whether every condition holds.
    pub(super) fn holds(&self, moment: &Moment) -> bool {
        self.conditions.iter().all(|condition| condition.holds(moment))
    }

    /// The conditions that do not hold, each with the present value.
    pub(super) fn missing(&self, moment: &Moment) -> Vec<String> {
        let missing = self.conditions.iter().filter(|condition| !condition.holds(moment));
        missing.map(|condition| condition.present(moment)).collect()
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Condition {
    fn holds(&self, moment: &Moment) -> bool {
        match self {
            Condition::NoEffects => moment.state.open_effects().next().is_none(),
            Condition::Compared { path, comparison } => comparison.holds(&moment.value(path)),
        }
    }

    fn present(&self, moment: &Moment) -> String {
        match self {
            Condition::NoEffects => {
                let open: Vec<String> = moment.state.open_effects().map(|effect| effect.id.to_string()).collect();
                format!("open effects are {}", open.join(", "))
            }
            Condition::Compared { path, .. } => {
                let value = moment.value(path);
                let shown = number(&value).filter(|_| !value.is_u64()).map(|entries| format!("{entries} entries"));
                format!("{} is {}", path.name(), shown.unwrap_or_else(|| scalar(&value)))
            }
        }
    }
}

impl Comparison {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Comparison::In(values) => values.contains(&scalar(value)),
            Comparison::NotIn(values) => !values.contains(&scalar(value)),
            Comparison::AtLeast(least) => number(value).is_some_and(|value| value >= *least),
            Comparison::Above(least) => number(value).is_some_and(|value| value > *least),
            Comparison::AtMost(most) => number(value).is_some_and(|value| value <= *most),
            Comparison::Below(most) => number(value).is_some_and(|value| value < *most),
        }
    }

    /// The texts that are compared for equality.
    fn words(&self) -> &[String] {
        match self {
            Comparison::In(values) | Comparison::NotIn(values) => values,
            _ => &[],
        }
    }
}

/// A value as an expression writes it.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A number, or the number of entries of a list or map.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Array(entries) => Some(entries.len() as u64),
        Value::Object(entries) => Some(entries.len() as u64),
        other => other.as_u64(),
    }
}

impl FromStr for Expression {
    type Err = String;

    fn from_str(text: &str) -> Result<Expression, String> {
        let mut tokens = tokens::read(text)?;
        let mut conditions = Vec::new();
        loop {
            conditions.push(condition(&mut tokens)?);
            match tokens.next() {
                None => break,
                Some(Token::Word(word)) if word == "and" => {}
                Some(Token::Word(word)) if word == "or" => {
                    return Err("an expression has no `or`; give the other one with --or".to_owned());
                }
                Some(other) => return Err(format!("`and` should follow a condition, not {other}")),
            }
        }
        Ok(Expression { text: text.trim().to_owned(), conditions })
    }
}

fn condition(tokens: &mut tokens::Tokens) -> Result<Condition, String> {
    let name = tokens.word("a condition, such as ingestion == READY")?;
    if name == "no" {
        let what = tokens.word("`effects`")?;
        return if what == "effects" {
            Ok(Condition::NoEffects)
        } else {
            Err(format!("only `no effects` is known, not `no {what}`"))
        };
    }
    let path = Path::parse(&name)?;
    let comparison = comparison(tokens, &path)?;
    for word in comparison.words() {
        path.admits(word)?;
    }
    Ok(Condition::Compared { path, comparison })
}

fn comparison(tokens: &mut tokens::Tokens, path: &Path) -> Result<Comparison, String> {
    let operator = tokens.next().map(|token| token.to_string()).unwrap_or_default();
    match operator.as_str() {
        "==" => Ok(Comparison::In(vec![tokens.value()?])),
        "!=" => Ok(Comparison::NotIn(vec![tokens.value()?])),
        "in" => tokens.list().map(Comparison::In),
        ">=" => tokens.number().map(Comparison::AtLeast),
        ">" => tokens.number().map(Comparison::Above),
        "<=" => tokens.number().map(Comparison::AtMost),
        "<" => tokens.number().map(Comparison::Below),
        "=" => Err("one = compares nothing; write ==".to_owned()),
        _ => Err(format!("after {} follows ==, !=, >=, >, <=, < or in", path.name())),
    }
}

impl Path {
    /// A region alone means its phase.
    fn parse(name: &str) -> Result<Path, String> {
        let mut names: Vec<String> = name.split('.').map(str::to_owned).collect();
        let first = names[0].clone();
        if names.len() == 1 && Region::ALL.iter().any(|region| region.as_str() == first) {
            names.push("phase".to_owned());
        }
        let path = Path(names);
        match first.as_str() {
            "index" | "phase" if path.0.len() == 1 => Ok(path),
            _ => path.checked(),
        }
    }

    /// Refuses sections and members that no state has, so that a slip does not wait for ever.
    fn checked(self) -> Result<Path, String> {
        let example = "default".parse().map(|project| State::genesis(&project)).map_err(|_| "no state".to_owned())?;
        let example = serde_json::to_value(&example).map_err(|error| error.to_string())?;
        let sections = || Section::ALL.iter().map(|section| section.as_str()).collect::<Vec<_>>().join(", ");
        let unknown = || format!("{:?} is no section of a state; there are {}, index and phase", self.0[0], sections());
        let section = example.get(&self.0[0]).ok_or_else(unknown)?;
        let (Some(members), Some(member)) = (section.as_object(), self.0.get(1)) else { return Ok(self) };
        // Builds are left out of a state without any.
        if members.contains_key(member) || (self.0[0] == "environment" && member == "builds") {
            return Ok(self);
        }
        let known = members.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        Err(format!("{} has no member {member}; it has {known}", self.0[0]))
    }

    /// Refuses a phase that the region does not have.
    fn admits(&self, word: &str) -> Result<(), String> {
        let Some(phases) = self.phases() else { return Ok(()) };
        if phases.contains(&word.to_owned()) {
            return Ok(());
        }
        Err(format!("{} is never {word}; it is one of {}", self.name(), phases.join(", ")))
    }

    fn phases(&self) -> Option<Vec<String>> {
        let names: Vec<&str> = self.0.iter().map(String::as_str).collect();
        let top = [TopPhase::Boot, TopPhase::ProjectLifecycle, TopPhase::Execution, TopPhase::Terminated];
        Some(match names.as_slice() {
            ["phase"] => {
                top.iter().filter_map(|phase| serde_json::to_value(phase).ok()).map(|phase| scalar(&phase)).collect()
            }
            ["boot", "phase"] => words(BootState::ALL),
            ["ingestion", "phase"] => words(IngestionState::ALL),
            ["council", "phase"] => words(CouncilState::ALL),
            ["environment", "phase"] => words(EnvironmentState::ALL),
            ["execution", "phase"] => words(ExecutionState::ALL),
            ["control", "phase"] => words(ControlState::ALL),
            ["policy", "phase"] => words(PolicyState::ALL),
            _ => return None,
        })
    }

    fn name(&self) -> String {
        self.0.join(".")
    }
}

fn words<T: ToString>(all: &[T]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn moment() -> Moment {
        let mut state = State::genesis(&"default".parse().unwrap());
        Arc::make_mut(&mut state.ingestion).phase = IngestionState::Ready;
        Arc::make_mut(&mut state.execution).beat = 3;
        Moment::new(17, state).unwrap()
    }

    fn holds(text: &str) -> bool {
        text.parse::<Expression>().unwrap_or_else(|error| panic!("{text}: {error}")).holds(&moment())
    }

    #[test]
    fn conditions_compare_phases_numbers_lists_and_flags() {
        for good in [
            "ingestion == READY",
            "ingestion.phase == READY and environment != READY",
            "execution in [INACTIVE, WORK]",
            "execution in INACTIVE,WORK",
            "execution in (PLAN, INACTIVE) and index >= 17",
            "phase == BOOT",
            "no effects",
            "no effects and execution.beat >= 3 and execution.beat < 4",
            "control.paused == false",
            "execution.plan_hash == null",
            "execution.approvals <= 0",
            "control.license == 'ok'",
            "ingestion==READY",
            "ingestion == READY && index > 16",
            "ingestion.sources == {}",
        ] {
            assert!(holds(good), "{good}");
        }
        for bad in [
            "ingestion != READY",
            "index >= 18",
            "execution in [PLAN]",
            "control.paused == true",
            "execution.plan_hash >= 1",
        ] {
            assert!(!holds(bad), "{bad}");
        }
    }

    #[test]
    fn expressions_that_no_state_can_fulfil_are_refused_with_the_names_that_there_are() {
        for (text, part) in [
            ("", "a condition"),
            ("ingestion", "=="),
            ("ingestion = READY", "write =="),
            ("ingestion == ready", "DISCOVER, FETCH"),
            ("execution.phse == WORK", "plan_hash"),
            ("exekution == WORK", "no section"),
            ("index >= many", "number"),
            ("ingestion == READY or council == READY", "--or"),
            ("ingestion == READY council == READY", "`and`"),
            ("no sources", "no effects"),
            ("execution in", "value"),
            ("ingestion == 'READY", "not closed"),
            ("phase == DONE", "PROJECT_LIFECYCLE"),
        ] {
            let error = text.parse::<Expression>().expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_present_value() {
        let expression: Expression = "ingestion == READY and execution == WORK and index >= 20".parse().unwrap();
        assert_eq!(expression.missing(&moment()), ["execution.phase is INACTIVE", "index is 17"]);
    }
}
