//! Variable templates (`templates/pkrvars/NAME.pkrvars.hcl`): which packer variable gets which value.
//!
//! A template is HCL. It may use `var.NAME` (what the layers gave), `build.os`, `build.platform`, `build.variant`,
//! `build.environment`, `build.name`, `build.builder`, conditions, texts with `${…}` and the functions `lower`, `upper`,
//! `join`. A variable that is given as `env("NAME")` may be passed on whole and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use hcl::eval::{Context, Evaluate as _, FuncArgs, FuncDef, ParamType};
use hcl::expr::{BinaryOperator, Expression, Operation, Traversal, TraversalOperator, UnaryOperator};
use hcl::template::{Directive, Element, Template};
use thiserror::Error;

use super::merge::Merged;
use super::syntax::{self, Assignment, Place, SyntaxError};
use super::value::{Given, Value, environment_of, first_line};

/// Why a template gives no value.
#[derive(Debug, Error)]
pub enum TemplateError {
    /// It is no HCL.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// It uses a variable that no layer gives.
    #[error("{place}: {name} needs var.{variable}, which has no value; {remedy}")]
    Missing {
        place: Place,
        name: String,
        /// The variable that is missing.
        variable: String,
        /// How to set it.
        remedy: String,
    },
    /// A secret would become part of something else.
    #[error(
        "{place}: {name} uses the secret var.{variable} within a larger expression, which would have to be written down; \
         pass it on whole ({variable} = var.{variable}) and put it together in packer's template"
    )]
    SecretWithin {
        place: Place,
        name: String,
        /// The secret variable.
        variable: String,
    },
    /// It cannot be evaluated.
    #[error("{place}: {name}: {detail}; docs/hybridcore.md says what a variable template may use")]
    Evaluate { place: Place, name: String, detail: String },
}

/// A packer variable and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub given: Given,
    /// Where the template assigns it.
    pub place: Place,
    /// Variables that went into it.
    pub from: BTreeSet<String>,
}

/// Facts that templates may use beside variables: `build.NAME`.
pub type BuildFacts = BTreeMap<&'static str, String>;

/// Evaluates the assignments of a template file. A variable that is passed on whole and has no value is left out, so that
/// packer's own default counts; that a required one has a value is for the schema to say.
pub fn evaluate(
    file: &str,
    text: &str,
    merged: &Merged,
    facts: &BuildFacts,
    remedy: &dyn Fn(&str) -> String,
) -> Result<BTreeMap<String, Rendered>, TemplateError> {
    let context = context(merged, facts);
    let mut rendered = BTreeMap::new();
    for assignment in syntax::parse_assignments(file, text)? {
        let name = assignment.name.clone();
        if let Some(value) = assign(assignment, merged, &context, remedy)? {
            rendered.insert(name, value);
        }
    }
    Ok(rendered)
}

fn assign(
    assignment: Assignment,
    merged: &Merged,
    context: &Context<'_>,
    remedy: &dyn Fn(&str) -> String,
) -> Result<Option<Rendered>, TemplateError> {
    let Assignment { name, expression, place } = assignment;
    if let Some(variable) = passed_on(&expression) {
        let given = merged.get(&variable).cloned();
        return Ok(given.map(|given| Rendered { given, place, from: [variable].into() }));
    }
    let refuse = |detail: String| TemplateError::Evaluate { place: place.clone(), name: name.clone(), detail };
    match environment_of(&expression) {
        Ok(Some(variable)) => {
            return Ok(Some(Rendered { given: Given::Environment(variable), place, from: BTreeSet::new() }));
        }
        Ok(None) => {}
        Err(error) => return Err(refuse(error.to_string())),
    }
    let mut uses = Uses::default();
    uses.expression(&expression);
    if let Some(refused) = uses.refused {
        return Err(refuse(refused));
    }
    for variable in &uses.variables {
        let variable = variable.clone();
        match merged.get(&variable) {
            None => return Err(TemplateError::Missing { place, name, remedy: remedy(&variable), variable }),
            Some(Given::Environment(_)) => return Err(TemplateError::SecretWithin { place, name, variable }),
            Some(Given::Value(_)) => {}
        }
    }
    match expression.evaluate(context) {
        Ok(hcl::Value::Null) => Ok(None),
        Ok(value) => Ok(Some(Rendered { given: Given::Value(Value::from_hcl(value)), place, from: uses.variables })),
        Err(error) => Err(refuse(first_line(&error))),
    }
}

/// The variable of a plain `var.NAME`.
fn passed_on(expression: &Expression) -> Option<String> {
    let Expression::Traversal(traversal) = expression else { return None };
    match traversal.operators.as_slice() {
        [_] => variable_of(traversal),
        _ => None,
    }
}

fn variable_of(traversal: &Traversal) -> Option<String> {
    let Expression::Variable(root) = &traversal.expr else { return None };
    match traversal.operators.first()? {
        TraversalOperator::GetAttr(name) if root.as_str() == "var" => Some(name.as_str().to_owned()),
        _ => None,
    }
}

fn context<'a>(merged: &Merged, facts: &BuildFacts) -> Context<'a> {
    let plain = |(name, given): (&str, &Given)| match given {
        Given::Value(value) => Some((name.to_owned(), value.to_hcl())),
        Given::Environment(_) => None,
    };
    let variables: hcl::Map<String, hcl::Value> = merged.values().filter_map(plain).collect();
    let facts: hcl::Map<String, hcl::Value> =
        facts.iter().map(|(name, text)| ((*name).to_owned(), hcl::Value::String(text.clone()))).collect();
    let mut context = Context::new();
    context.declare_var("var", hcl::Value::Object(variables));
    context.declare_var("build", hcl::Value::Object(facts));
    context.declare_func(
        "lower",
        FuncDef::builder().param(ParamType::String).build(|args| text_function(&args, str::to_lowercase)),
    );
    context.declare_func(
        "upper",
        FuncDef::builder().param(ParamType::String).build(|args| text_function(&args, str::to_uppercase)),
    );
    let texts = ParamType::array_of(ParamType::String);
    context.declare_func("join", FuncDef::builder().param(ParamType::String).param(texts).build(join));
    context
}

fn text_function(args: &FuncArgs, change: fn(&str) -> String) -> Result<hcl::Value, String> {
    let text = args.first().and_then(hcl::Value::as_str).ok_or("takes a text")?;
    Ok(hcl::Value::String(change(text)))
}

fn join(args: FuncArgs) -> Result<hcl::Value, String> {
    let separator = args.first().and_then(hcl::Value::as_str).ok_or("takes a separator and a list of texts")?;
    let entries = args.get(1).and_then(hcl::Value::as_array).ok_or("takes a separator and a list of texts")?;
    let texts: Vec<&str> = entries.iter().filter_map(hcl::Value::as_str).collect();
    Ok(hcl::Value::String(texts.join(separator)))
}

/// The variables and the forbidden constructs of an expression.
#[derive(Default)]
struct Uses {
    variables: BTreeSet<String>,
    refused: Option<String>,
}

impl Uses {
    fn expression(&mut self, expression: &Expression) {
        match expression {
            Expression::Array(entries) => entries.iter().for_each(|entry| self.expression(entry)),
            Expression::Object(members) => members.iter().for_each(|(key, value)| {
                if let hcl::expr::ObjectKey::Expression(key) = key {
                    self.expression(key);
                }
                self.expression(value);
            }),
            Expression::TemplateExpr(template) => match Template::from_expr(template) {
                Ok(template) => self.template(&template),
                Err(error) => self.refuse(first_line(&error)),
            },
            Expression::Traversal(traversal) => self.traversal(traversal),
            Expression::FuncCall(call) => {
                if call.name.name.as_str() == "env" {
                    self.refuse("env(…) must be all that is assigned".to_owned());
                }
                call.args.iter().for_each(|argument| self.expression(argument));
            }
            Expression::Parenthesis(inner) => self.expression(inner),
            Expression::Conditional(conditional) => {
                for part in [&conditional.cond_expr, &conditional.true_expr, &conditional.false_expr] {
                    self.expression(part);
                }
            }
            Expression::Operation(operation) => self.operation(operation),
            Expression::ForExpr(_) => self.refuse("loops are not evaluated here; write the list out".to_owned()),
            _ => {}
        }
    }

    /// Arithmetic is refused: it can fail in ways that no template needs.
    fn operation(&mut self, operation: &Operation) {
        use BinaryOperator::{And, Eq, NotEq, Or};
        let no_arithmetic = || "arithmetic is not evaluated here; write the number".to_owned();
        match operation {
            Operation::Unary(unary) => {
                if unary.operator == UnaryOperator::Neg {
                    self.refuse(no_arithmetic());
                }
                self.expression(&unary.expr);
            }
            Operation::Binary(binary) => {
                if !matches!(binary.operator, And | Or | Eq | NotEq) {
                    self.refuse(no_arithmetic());
                }
                self.expression(&binary.lhs_expr);
                self.expression(&binary.rhs_expr);
            }
        }
    }

    fn traversal(&mut self, traversal: &Traversal) {
        match variable_of(traversal) {
            Some(variable) => drop(self.variables.insert(variable)),
            None => self.expression(&traversal.expr),
        }
        for operator in &traversal.operators {
            if let TraversalOperator::Index(index) = operator {
                self.expression(index);
            }
        }
    }

    fn template(&mut self, template: &Template) {
        for element in template.elements() {
            match element {
                Element::Literal(_) => {}
                Element::Interpolation(interpolation) => self.expression(&interpolation.expr),
                Element::Directive(directive) => match &**directive {
                    Directive::If(directive) => {
                        self.expression(&directive.cond_expr);
                        self.template(&directive.true_template);
                        directive.false_template.iter().for_each(|template| self.template(template));
                    }
                    Directive::For(_) => self.refuse("loops are not evaluated here; write the text out".to_owned()),
                },
            }
        }
    }

    fn refuse(&mut self, why: String) {
        self.refused.get_or_insert(why);
    }
}

#[cfg(test)]
mod tests {
    use super::super::layers::{Layer, from_hcl};
    use super::*;
    use proptest::prelude::*;

    const GIVEN: &str =
        "name = \"img\"\nsize = 2\ntags = [\"a\", \"b\"]\nnet = { bridge = \"b0\" }\ntoken = env(\"T\")\nbig = true\n";

    fn evaluated(text: &str) -> Result<BTreeMap<String, Rendered>, TemplateError> {
        let merged = Merged::of(&[from_hcl(Layer::Default, "default.hcl", GIVEN).unwrap()]);
        let facts = [("os", "linux".to_owned())].into();
        evaluate("t.pkrvars.hcl", text, &merged, &facts, &|name| format!("give {name}"))
    }

    #[test]
    fn values_are_passed_on_put_together_and_chosen() {
        let rendered = evaluated(
            "a = var.name\nb = \"${build.os}-${upper(var.name)}\"\nc = var.big ? var.net.bridge : \"none\"\nd = var.absent\n\
             e = join(\"+\", var.tags)\nf = [var.size, { x = var.tags[0] }]\ng = var.token\nh = env(\"H\")\n",
        )
        .unwrap();
        let shown = |name: &str| match &rendered[name].given {
            Given::Value(value) => value.to_string(),
            Given::Environment(variable) => format!("env {variable}"),
        };
        assert_eq!(rendered.keys().map(String::as_str).collect::<String>(), "abcefgh");
        assert_eq!(["a", "b", "c", "e"].map(shown), ["\"img\"", "\"linux-IMG\"", "\"b0\"", "\"a+b\""]);
        assert_eq!(["f", "g", "h"].map(shown), ["[2, { x = \"a\" }]", "env T", "env H"]);
        assert_eq!(rendered["c"].from.iter().collect::<Vec<_>>(), ["big", "net"]);
        assert_eq!(rendered["c"].place.to_string(), "t.pkrvars.hcl:3");
    }

    #[test]
    fn a_missing_variable_in_an_expression_is_reported_with_where_to_set_it() {
        let error = evaluated("a = 1\nb = \"x-${var.absent}\"\n").unwrap_err().to_string();
        assert_eq!(error, "t.pkrvars.hcl:2: b needs var.absent, which has no value; give absent");
    }

    #[test]
    fn a_secret_never_becomes_part_of_what_is_written() {
        for text in ["a = \"x-${var.token}\"", "a = [var.token]", "a = upper(var.token)", "a = var.token[0]"] {
            let error = evaluated(text).unwrap_err();
            assert!(matches!(error, TemplateError::SecretWithin { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn what_cannot_be_evaluated_is_refused_with_its_place() {
        for text in [
            "a = 1 % 0",
            "a = -var.size",
            "a = 9223372036854775807 + 9223372036854775807",
            "a = [for x in var.tags: x]",
            "a = \"%{ for x in var.tags }${x}%{ endfor }\"",
            "a = nothing",
            "a = f(1)",
            "a = build.absent",
            "a = var.tags[9]",
            "a = \"x${env(\"A\")}\"",
            "a = join(1, 2)",
            "a {}",
        ] {
            let error = evaluated(text).unwrap_err().to_string();
            assert!(error.starts_with("t.pkrvars.hcl:1: "), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn expressions_of_any_kind_are_evaluated_or_refused_without_a_panic(
            text in "(var\\.name|var\\.size|[0-9]{1,20}|\\+|-|\\*|/|%|\\[|\\]|\\(|\\)|\\?|:|==|!|\"|\\$\\{|\\}| ){0,20}"
        ) {
            let _ = evaluated(&format!("a = {text}\n"));
        }
    }
}
