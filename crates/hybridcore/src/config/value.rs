//! Values of variables: what HCL, JSON and YAML have in common, with sorted keys.

use std::collections::BTreeMap;
use std::fmt;

use hcl::Number;
use hcl::eval::{Context, Evaluate as _};
use hcl::expr::{Expression, ObjectKey, Operation, TemplateExpr, UnaryOperator};
use serde::{Serialize, Serializer};

/// How deep lists and objects may be nested.
const DEEPEST: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Takes away what an earlier layer gave; never left in what was merged.
    Null,
    /// `true` or `false`.
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Value>),
    /// Values by name.
    Object(BTreeMap<String, Value>),
}

/// A layer's entry for a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    Value(Value),
    /// `env("NAME")`: the value is in that environment variable, which is read when a build runs.
    Environment(String),
}

/// Why an expression is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// It would have to be computed.
    #[error("{0} is no plain value; write a text, a number, true, false, null, a list or an object")]
    NotPlain(String),
    /// `env()` is part of a larger value.
    #[error("env(…) must be the whole value of a variable; give the variable that needs the secret a name of its own")]
    EnvironmentWithin,
    /// `env()` has other than one plain name.
    #[error("env(…) takes one quoted name of an environment variable, as in env(\"PROXMOX_TOKEN\")")]
    EnvironmentName,
    /// A list or an object within others is too deep.
    #[error("lists and objects are nested deeper than 32; flatten them")]
    TooDeep,
    /// A list holds `null`.
    #[error("a list holds null; leave that entry out")]
    NullInList,
    /// An object has a key twice.
    #[error("the key {0:?} appears twice in one object; keep one of them")]
    Twice(String),
    /// A number has more digits than are kept.
    #[error(
        "the number {0} loses digits; whole numbers may have 64 bits, and others about 15 digits: write it as a text in quotes"
    )]
    Inexact(String),
    /// A number is infinite, or none.
    #[error("{0:?} has a number that is not finite; write a finite number, or a text in quotes")]
    NotFinite(String),
    /// A template of a text cannot be evaluated.
    #[error("{0}; only plain texts may stand here")]
    Template(String),
}

impl Given {
    /// Reads what a layer assigns to a variable.
    pub fn from_expression(expression: &Expression) -> Result<Given, ValueError> {
        match environment_of(expression)? {
            Some(name) => Ok(Given::Environment(name)),
            None => Value::from_expression(expression, 0).map(Given::Value),
        }
    }
}

/// The name within `env("NAME")`; `None` when the expression is no such call.
pub(super) fn environment_of(expression: &Expression) -> Result<Option<String>, ValueError> {
    let Expression::FuncCall(call) = expression else { return Ok(None) };
    if call.name.is_namespaced() || call.name.name.as_str() != "env" {
        return Ok(None);
    }
    match call.args.as_slice() {
        [Expression::String(name)] if is_variable_name(name) => Ok(Some(name.clone())),
        _ => Err(ValueError::EnvironmentName),
    }
}

/// `[A-Za-z_][A-Za-z0-9_]*`, as every system takes it.
pub(super) fn is_variable_name(name: &str) -> bool {
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    first && name.len() <= 128 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Value {
    fn from_expression(expression: &Expression, depth: usize) -> Result<Value, ValueError> {
        if depth > DEEPEST {
            return Err(ValueError::TooDeep);
        }
        let not_plain = || ValueError::NotPlain(shown(expression));
        Ok(match expression {
            Expression::Null => Value::Null,
            Expression::Bool(value) => Value::Bool(*value),
            Expression::Number(number) => Value::Number(*number),
            Expression::String(text) => Value::Text(text.clone()),
            Expression::Parenthesis(inner) => Value::from_expression(inner, depth + 1)?,
            Expression::TemplateExpr(template) => plain_template(template)?,
            Expression::Array(entries) => Value::list(entries, depth)?,
            Expression::Object(members) => Value::object(members.iter(), depth)?,
            Expression::Operation(operation) => match &**operation {
                Operation::Unary(unary) if unary.operator == UnaryOperator::Neg => match &unary.expr {
                    Expression::Number(number) => Value::Number(negated(number).ok_or_else(not_plain)?),
                    _ => return Err(not_plain()),
                },
                _ => return Err(not_plain()),
            },
            Expression::FuncCall(call) if call.name.name.as_str() == "env" => {
                return Err(ValueError::EnvironmentWithin);
            }
            _ => return Err(not_plain()),
        })
    }

    fn list(entries: &[Expression], depth: usize) -> Result<Value, ValueError> {
        let entries = entries.iter().map(|entry| match Value::from_expression(entry, depth + 1)? {
            Value::Null => Err(ValueError::NullInList),
            value => Ok(value),
        });
        entries.collect::<Result<_, _>>().map(Value::List)
    }

    fn object<'a>(
        members: impl Iterator<Item = (&'a ObjectKey, &'a Expression)>,
        depth: usize,
    ) -> Result<Value, ValueError> {
        let mut object = BTreeMap::new();
        for (key, expression) in members {
            let key = match key {
                ObjectKey::Identifier(name) => name.as_str().to_owned(),
                ObjectKey::Expression(Expression::String(name)) => name.clone(),
                other => return Err(ValueError::NotPlain(other.to_string())),
            };
            let value = Value::from_expression(expression, depth + 1)?;
            if object.insert(key.clone(), value).is_some() {
                return Err(ValueError::Twice(key));
            }
        }
        Ok(Value::Object(object))
    }

    /// The value of a JSON document, or of YAML that says the same.
    pub fn from_json(json: &serde_json::Value) -> Result<Value, ValueError> {
        Value::from_json_at(json, 0)
    }

    fn from_json_at(json: &serde_json::Value, depth: usize) -> Result<Value, ValueError> {
        if depth > DEEPEST {
            return Err(ValueError::TooDeep);
        }
        Ok(match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(*value),
            serde_json::Value::Number(number) => {
                let whole = number.as_u64().map(Number::from).or_else(|| number.as_i64().map(Number::from));
                let read = whole.or_else(|| number.as_f64().and_then(Number::from_f64));
                Value::Number(read.ok_or_else(|| ValueError::NotPlain(number.to_string()))?)
            }
            serde_json::Value::String(text) => Value::Text(text.clone()),
            serde_json::Value::Array(entries) => {
                let entries = entries.iter().map(|entry| match Value::from_json_at(entry, depth + 1)? {
                    Value::Null => Err(ValueError::NullInList),
                    value => Ok(value),
                });
                Value::List(entries.collect::<Result<_, _>>()?)
            }
            serde_json::Value::Object(members) => {
                let members = members
                    .iter()
                    .map(|(key, value)| Ok::<_, ValueError>((key.clone(), Value::from_json_at(value, depth + 1)?)));
                Value::Object(members.collect::<Result<_, _>>()?)
            }
        })
    }

    /// The same for the evaluator of templates.
    pub(super) fn to_hcl(&self) -> hcl::Value {
        match self {
            Value::Null => hcl::Value::Null,
            Value::Bool(value) => hcl::Value::Bool(*value),
            Value::Number(number) => hcl::Value::Number(*number),
            Value::Text(text) => hcl::Value::String(text.clone()),
            Value::List(entries) => hcl::Value::Array(entries.iter().map(Value::to_hcl).collect()),
            Value::Object(members) => {
                hcl::Value::Object(members.iter().map(|(name, value)| (name.clone(), value.to_hcl())).collect())
            }
        }
    }

    /// Converts a result of the template evaluator.
    pub(super) fn from_hcl(value: hcl::Value) -> Value {
        match value {
            hcl::Value::Null => Value::Null,
            hcl::Value::Bool(value) => Value::Bool(value),
            hcl::Value::Number(number) => Value::Number(number),
            hcl::Value::String(text) => Value::Text(text),
            hcl::Value::Array(entries) => Value::List(entries.into_iter().map(Value::from_hcl).collect()),
            hcl::Value::Object(members) => {
                Value::Object(members.into_iter().map(|(name, value)| (name, Value::from_hcl(value))).collect())
            }
        }
    }

    /// Name of the value's type, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a bool",
            Value::Number(_) => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Object(_) => "an object",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::write::inline(self))
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Number(number) => number.serialize(serializer),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(entries) => serializer.collect_seq(entries),
            Value::Object(members) => serializer.collect_map(members),
        }
    }
}

/// A text in a form that could hold interpolations, such as a here-document, but holds none.
fn plain_template(template: &TemplateExpr) -> Result<Value, ValueError> {
    let evaluated = template.evaluate(&Context::new()).map_err(|error| ValueError::Template(first_line(&error)))?;
    Ok(Value::from_hcl(evaluated))
}

fn negated(number: &Number) -> Option<Number> {
    match number.as_i64() {
        Some(whole) => whole.checked_neg().map(Number::from),
        None if number.is_f64() => Number::from_f64(-number.as_f64()?),
        None => None,
    }
}

/// The first line of an error's text, which says what; the others draw it.
pub(super) fn first_line(error: &impl fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// An expression as people wrote it, cut to a length that fits a message.
pub(super) fn shown(expression: &Expression) -> String {
    let text = hcl::format::to_string(expression).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Result<Given, ValueError> {
        Given::from_expression(&text.parse::<Expression>().unwrap())
    }

    #[test]
    fn plain_values_of_every_kind_are_read() {
        let value = given("{ a = [1, -2, 2.5, true], \"b c\" = null, d = \"x$${y}\", e = <<EOT\nline\nEOT\n}").unwrap();
        let json = match &value {
            Given::Value(value) => serde_json::to_value(value).unwrap(),
            Given::Environment(_) => panic!("{value:?}"),
        };
        assert_eq!(json, serde_json::json!({"a": [1, -2, 2.5, true], "b c": null, "d": "x${y}", "e": "line\n"}));
    }

    #[test]
    fn a_secret_has_a_name_and_is_the_whole_value() {
        assert_eq!(given("env(\"TOKEN\")"), Ok(Given::Environment("TOKEN".to_owned())));
        assert_eq!(given("[env(\"TOKEN\")]"), Err(ValueError::EnvironmentWithin));
        assert_eq!(given("{a = env(\"TOKEN\")}"), Err(ValueError::EnvironmentWithin));
        for text in ["env()", "env(\"A B\")", "env(\"A\", \"B\")", "env(1)"] {
            assert_eq!(given(text), Err(ValueError::EnvironmentName), "{text}");
        }
    }

    #[test]
    fn what_would_have_to_be_computed_is_refused() {
        for text in ["1 % 0", "var.x", "upper(\"a\")", "x ? 1 : 2", "[for a in [1]: a]", "\"${x}\"", "[null]"] {
            assert!(given(text).is_err(), "{text}");
        }
        let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
        assert_eq!(given(&deep), Err(ValueError::TooDeep));
    }
}
