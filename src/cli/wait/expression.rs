//! Expressions over a project's state: `ingestion == READY and execution.beat >= 2`.

use std::str::FromStr;

use serde_json::Value;

use super::kinds::Kind;
use super::tokens::{self, Token};
use crate::machine::state::State;
use crate::types::names::Region;

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
pub(super) enum Comparison {
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
                let shown = number(&value).filter(|_| !value.is_u64()).map(|found| match found {
                    1 => "1 entry".to_owned(),
                    entries => format!("{entries} entries"),
                });
                format!("{} is {}", path.name(), shown.unwrap_or_else(|| scalar(&value)))
            }
        }
    }
}

impl Condition {
    /// Refuses conditions on one place that exclude each other.
    fn can_hold_beside(&self, conditions: &[Condition]) -> Result<(), String> {
        let Condition::Compared { path, comparison } = self else { return Ok(()) };
        let on_it = conditions.iter().filter_map(|condition| match condition {
            Condition::Compared { path: other, comparison } if other == path => Some(comparison),
            _ => None,
        });
        let on_it: Vec<&Comparison> = on_it.collect();
        let values = match comparison {
            Comparison::In(values) => Some(values.clone()),
            _ => Kind::of(&path.0)?.all(),
        };
        let all_hold = |value: &String| on_it.iter().all(|comparison| comparison.may_hold(value));
        let is_empty = values.is_some_and(|values| !values.iter().any(all_hold));
        let least = on_it.iter().map(|comparison| comparison.least()).max().unwrap_or_default();
        let most = on_it.iter().map(|comparison| comparison.most()).min().unwrap_or(u64::MAX);
        if is_empty || least > most {
            return Err(format!("the conditions on {} exclude each other, so they never hold together", path.name()));
        }
        Ok(())
    }
}

impl Comparison {
    /// Whether it may hold for a value as an expression writes it.
    fn may_hold(&self, value: &str) -> bool {
        match (self, value.parse::<u64>()) {
            (Comparison::In(values), _) => values.iter().any(|known| known == value) || value.starts_with(['{', '[']),
            (Comparison::NotIn(values), _) => !values.iter().any(|known| known == value),
            (_, Ok(number)) => (self.least()..=self.most()).contains(&number),
            // A list or map, by the number of its entries.
            (_, Err(_)) => value.starts_with(['{', '[']),
        }
    }

    /// The least number for which it may hold.
    fn least(&self) -> u64 {
        match self {
            Comparison::AtLeast(least) => *least,
            Comparison::Above(least) => least.saturating_add(1),
            _ => 0,
        }
    }

    /// The greatest number for which it may hold.
    fn most(&self) -> u64 {
        match self {
            Comparison::AtMost(most) => *most,
            Comparison::Below(most) => most.saturating_sub(1),
            _ => u64::MAX,
        }
    }

    fn holds(&self, value: &Value) -> bool {
        match self {
            Comparison::In(values) => is_one_of(value, values),
            Comparison::NotIn(values) => !is_one_of(value, values),
            Comparison::AtLeast(least) => number(value).is_some_and(|value| value >= *least),
            Comparison::Above(least) => number(value).is_some_and(|value| value > *least),
            Comparison::AtMost(most) => number(value).is_some_and(|value| value <= *most),
            Comparison::Below(most) => number(value).is_some_and(|value| value < *most),
        }
    }
}

/// Whether a value is one of these. Lists and maps are also their number of entries.
fn is_one_of(value: &Value, values: &[String]) -> bool {
    let entries = number(value).map(|number| number.to_string());
    values.contains(&scalar(value)) || entries.is_some_and(|entries| values.contains(&entries))
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
        conditions.iter().try_for_each(|condition| condition.can_hold_beside(&conditions))?;
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
    Kind::of(&path.0)?.admits(&path.name(), &comparison)?;
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
        Kind::of(&names).map(|_| Path(names))
    }

    fn name(&self) -> String {
        self.0.join(".")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::types::names::IngestionState;

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
            "execution.approvals == 0",
            "control.license in [ok, grace]",
            "council.version == null and execution.beat in [2, 3]",
            "execution.pin.version != 2",
            "boot.identities == 0",
            "meta.chart_version >= 1",
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
            "execution.approvals != 0",
            "council.version >= 1",
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
            ("execution in WORK", "brackets"),
            ("execution in WORK,REVIEW", "brackets"),
            ("execution.beat == WORK", "a whole number"),
            ("execution.beat == 03", "a whole number"),
            ("execution.beat != -1", "a whole number"),
            ("control.paused == False", "true or false"),
            ("control.paused == 0", "true or false"),
            ("control.paused != no", "true or false"),
            ("control.paused >= 0", "true or false"),
            ("control.paused.since == 1", "no members"),
            ("control.license == OK", "ok, grace"),
            ("ingestion >= 1", "DISCOVER, FETCH"),
            ("execution.plan_hash >= 1", "a hash"),
            ("execution.plan_hash == plan.md", "a hash"),
            ("council.version == READY", "a whole number or null"),
            ("execution.approvals == two", "number of its entries"),
            ("execution.pin == 1", "null"),
            ("execution.evidence.first == x", "no members"),
            ("index < 0", "never below 0"),
            ("index == READY", "a whole number"),
            ("index >= 5 and index < 5", "exclude"),
            ("ingestion == READY and ingestion == FETCH", "exclude"),
            ("control.paused != true and control.paused != false", "exclude"),
            ("execution.beat == 3 and execution.beat > 3", "exclude"),
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
