//! Lays one layer over another, and remembers who gave what.

use std::collections::BTreeMap;

use serde::Serialize;

use super::layers::{Layer, Overlay};
use super::syntax::Place;
use super::value::{Given, Value};
use super::write;

/// One layer's word on a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    pub layer: Layer,
    /// The file and line.
    pub place: Place,
    /// The given value, in HCL. A secret is shown by its name alone.
    pub given: String,
}

/// Values of all layers together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    values: BTreeMap<String, Given>,
    history: BTreeMap<String, Vec<Step>>,
}

impl Merged {
    /// Lays overlays over each other in their order. Members of objects are merged one by one, however deep;
    /// everything else, lists as well, is replaced; `null` takes away what earlier layers gave.
    pub fn of(overlays: &[Overlay]) -> Merged {
        let mut merged = Merged::default();
        for overlay in overlays {
            for (name, (given, place)) in &overlay.values {
                merged.lay(overlay.layer, name, given, place);
            }
        }
        merged
    }

    fn lay(&mut self, layer: Layer, name: &str, given: &Given, place: &Place) {
        let path = write::path("", name);
        let step = |given: String| Step { layer, place: place.clone(), given };
        match given {
            Given::Environment(variable) => {
                self.forget_below(&path);
                self.values.insert(name.to_owned(), given.clone());
                self.history.entry(path).or_default().push(step(format!("env({variable:?})")));
            }
            Given::Value(value) => {
                let mut target = match self.values.remove(name) {
                    Some(Given::Value(value)) => value,
                    _ => Value::Null,
                };
                lay_value(&mut target, value, &path, &step, &mut self.history);
                if target != Value::Null {
                    self.values.insert(name.to_owned(), Given::Value(target));
                }
            }
        }
    }

    fn forget_below(&mut self, path: &str) {
        forget_below(&mut self.history, path);
    }

    /// Value of a variable; `None` when no layer gives it.
    pub fn get(&self, name: &str) -> Option<&Given> {
        self.values.get(name)
    }

    /// A variable's plain value.
    pub fn value(&self, name: &str) -> Option<&Value> {
        match self.values.get(name)? {
            Given::Value(value) => Some(value),
            Given::Environment(_) => None,
        }
    }

    /// All variables by name.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Given)> {
        self.values.iter().map(|(name, given)| (name.as_str(), given))
    }

    /// Layers that gave each value, by path (`network.bridge`); the last one counts.
    pub fn history(&self) -> &BTreeMap<String, Vec<Step>> {
        &self.history
    }

    /// Removes the values of a secret from the history: a file may contain one by mistake.
    pub(super) fn mask(&mut self, name: &str) {
        let path = write::path("", name);
        for (_, steps) in self.history.iter_mut().filter(|(at, _)| is_at_or_below(at, &path)) {
            let plain = steps.iter_mut().filter(|step| step.given != "null" && !step.given.starts_with("env("));
            plain.for_each(|step| step.given = swoosh_types::secret::SHOWN.to_owned());
        }
    }

    /// The last layer that gave a variable or a part of it.
    pub fn origin(&self, name: &str) -> Option<&Step> {
        let path = write::path("", name);
        let own = self.history.iter().filter(|(at, _)| is_at_or_below(at, &path));
        own.filter_map(|(_, steps)| steps.last()).max_by_key(|step| step.layer)
    }
}

fn is_at_or_below(at: &str, path: &str) -> bool {
    at.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Removes the history below a value that was replaced as a whole.
fn forget_below(history: &mut BTreeMap<String, Vec<Step>>, path: &str) {
    history.retain(|at, _| at == path || !is_at_or_below(at, path));
}

fn lay_value(
    target: &mut Value,
    value: &Value,
    path: &str,
    step: &dyn Fn(String) -> Step,
    history: &mut BTreeMap<String, Vec<Step>>,
) {
    match (&mut *target, value) {
        (_, Value::Object(members)) if !members.is_empty() => {
            if !matches!(target, Value::Object(_)) {
                *target = Value::Object(BTreeMap::new());
            }
            // The value's own history ends here; its members have theirs.
            history.remove(path);
            let Value::Object(own) = target else { return };
            for (name, value) in members {
                let own_member = own.entry(name.clone()).or_insert(Value::Null);
                lay_value(own_member, value, &write::path(path, name), step, history);
            }
            own.retain(|_, member| *member != Value::Null);
            if own.is_empty() {
                history.entry(path.to_owned()).or_default().push(step("{}".to_owned()));
            }
        }
        // Nothing to add to what is there.
        (Value::Object(own), Value::Object(_)) if !own.is_empty() => {}
        _ => {
            forget_below(history, path);
            *target = value.clone();
            history.entry(path.to_owned()).or_default().push(step(write::inline(value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::layers::from_hcl;
    use super::*;
    use proptest::prelude::*;

    fn merged(layers: &[(Layer, &str)]) -> Merged {
        let overlays: Vec<Overlay> =
            layers.iter().map(|(layer, text)| from_hcl(*layer, &format!("{layer}.hcl"), text).unwrap()).collect();
        Merged::of(&overlays)
    }

    fn shown(merged: &Merged, name: &str) -> String {
        merged.value(name).map_or_else(|| "-".to_owned(), write::inline)
    }

    #[test]
    fn later_layers_win_objects_are_merged_deep_and_lists_replaced() {
        let merged = merged(&[
            (Layer::Default, "a = 1\nnet = { bridge = \"b0\", dns = [1, 2], v6 = { on = true, mtu = 1 } }\n"),
            (Layer::Platform, "a = 2\nnet = { dns = [3] }\n"),
            (Layer::Environment, "net = { v6 = { mtu = 9000 } }\n"),
        ]);
        assert_eq!(shown(&merged, "a"), "2");
        assert_eq!(shown(&merged, "net"), "{ bridge = \"b0\", dns = [3], v6 = { mtu = 9000, on = true } }");
        let of = |path: &str| merged.history()[path].iter().map(|step| step.layer).collect::<Vec<_>>();
        assert_eq!(of("a"), [Layer::Default, Layer::Platform]);
        assert_eq!(of("net.v6.mtu"), [Layer::Default, Layer::Environment]);
        assert_eq!(of("net.v6.on"), [Layer::Default]);
        assert_eq!(merged.origin("net").unwrap().layer, Layer::Environment);
    }

    #[test]
    fn null_takes_away_what_earlier_layers_gave_and_the_history_says_so() {
        let merged = merged(&[
            (Layer::Default, "a = 1\no = { x = 1, y = 2 }\nwhole = { x = 1 }\n"),
            (Layer::Variant, "a = null\no = { x = null }\nwhole = null\n"),
        ]);
        assert_eq!([shown(&merged, "a"), shown(&merged, "o"), shown(&merged, "whole")], ["-", "{ y = 2 }", "-"]);
        assert_eq!(merged.history()["a"].last().unwrap().given, "null");
        assert!(!merged.history().contains_key("whole.x"));
    }

    #[test]
    fn a_secret_replaces_a_value_and_a_value_a_secret_whole() {
        let merged = merged(&[
            (Layer::Default, "token = { a = 1 }\nother = env(\"O\")\n"),
            (Layer::Environment, "token = env(\"T\")\nother = \"plain\"\n"),
        ]);
        assert_eq!(merged.get("token"), Some(&Given::Environment("T".to_owned())));
        assert_eq!(merged.history()["token"].last().unwrap().given, "env(\"T\")");
        assert!(!merged.history().contains_key("token.a"));
        assert_eq!(shown(&merged, "other"), "\"plain\"");
    }

    fn object() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::Bool)];
        let inner = leaf.prop_recursive(3, 16, 3, |inner| {
            prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(Value::Object)
        });
        prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(Value::Object)
    }

    proptest! {
        #[test]
        fn every_value_has_a_history_whose_last_word_it_is(layers in prop::collection::vec(object(), 0..5)) {
            let place = Place { file: "f".to_owned(), line: 1 };
            let overlays: Vec<Overlay> = layers.iter().zip(Layer::ALL).map(|(value, layer)| {
                let values = [("v".to_owned(), (Given::Value(value.clone()), place.clone()))].into();
                Overlay { layer, file: "f".to_owned(), values, typed: BTreeMap::new() }
            }).collect();
            let merged = Merged::of(&overlays);
            let mut leaves = Vec::new();
            if let Some(value) = merged.value("v") {
                collect(value, "v", &mut leaves);
            }
            for (path, shown) in &leaves {
                prop_assert_eq!(&merged.history()[path].last().unwrap().given, shown);
            }
            for (path, steps) in merged.history() {
                let gone = steps.last().unwrap().given == "null";
                prop_assert!(gone || leaves.iter().any(|(leaf, _)| leaf == path), "{path}");
            }
        }
    }

    fn collect(value: &Value, path: &str, out: &mut Vec<(String, String)>) {
        match value {
            Value::Object(members) if !members.is_empty() => {
                members.iter().for_each(|(name, member)| collect(member, &write::path(path, name), out));
            }
            other => out.push((path.to_owned(), write::inline(other))),
        }
    }
}
