//! From layers to a rendered file, over made-up definitions.

use super::*;

fn definitions(schema: &str, default: &str, template: &str) -> Definitions {
    let files = [
        ("schema.yaml", schema),
        ("overlays/default.pkrvars.hcl", default),
        ("overlays/environment/dev.pkrvars.hcl", "tags = [\"dev\"]\nlabels = { env = \"dev\" }\n"),
        ("t.pkrvars.hcl", template),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
    Definitions::from_files("here", files.into())
}

const SCHEMA: &str = "variables:
  name: {type: string, description: Name., required: true}
  labels: {type: map(string), description: Labels.}
  tags: {type: list(string), description: Tags., rules: [{max: 1, severity: warning}]}
  token: {type: string, description: Token., secret: true}
";

fn selection() -> Selection {
    Selection { platform: "file".parse().unwrap(), variant: None, environment: "dev".parse().unwrap() }
}

fn rendered(definitions: &Definitions, set: &[(&str, &str)]) -> Result<EnvConfig, ConfigError> {
    let set: Vec<(String, String)> = set.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let resolved = resolve(definitions, &selection(), &layers::settings(&set)?)?;
    generate_env_config(definitions, resolved, &["t.pkrvars.hcl".to_owned()], &BuildFacts::new())
}

#[test]
fn deterministic_configs_have_sorted_keys_and_unix_line_ends_whatever_the_files_look_like() {
    let default = "labels = {\n  z = \"1\"\n  a = \"2\"\n}\nname = \"x\"\n";
    let template = "z = var.name\na = var.labels\nm = var.tags\n";
    let one = rendered(&definitions(SCHEMA, default, template), &[]).unwrap().text;
    let shuffled = "name = \"x\"\r\nlabels = {\r\n  a = \"2\",\r\n  z = \"1\"\r\n}\r\n";
    let other = rendered(&definitions(SCHEMA, shuffled, "m = var.tags\r\na = var.labels\r\nz = var.name\r\n"), &[]);
    assert_eq!(one, other.unwrap().text);
    assert_eq!(
        one,
        format!("{HEADER}a = {{\n  a   = \"2\"\n  env = \"dev\"\n  z   = \"1\"\n}}\nm = [\"dev\"]\nz = \"x\"\n")
    );
    assert!(!one.contains('\r'));
}

#[test]
fn errors_stop_warnings_are_reported_and_idle_values_are_information() {
    let definitions = definitions(SCHEMA, "labels = {}\n", "n = var.name\n");
    let error = rendered(&definitions, &[]).unwrap_err().to_string();
    assert!(error.contains("error: name (schema.yaml:2)"), "{error}");
    let config = rendered(&definitions, &[("name", "x"), ("tags", "[\"a\", \"b\"]")]).unwrap();
    let messages: Vec<String> = config.findings.iter().map(ToString::to_string).collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert!(messages[0].starts_with("warning: tags (--set)"), "{messages:?}");
    assert!(
        messages[1].starts_with("info: labels") && messages[1].contains("no template of this builder uses it"),
        "{messages:?}"
    );
}

#[test]
fn a_secret_is_named_and_never_rendered() {
    let definitions = definitions(SCHEMA, "name = \"x\"\ntoken = env(\"TOKEN\")\n", "t = var.token\nn = var.name\n");
    let config = rendered(&definitions, &[]).unwrap();
    assert_eq!(config.secrets.iter().collect::<Vec<_>>(), [("t", "TOKEN")]);
    assert!(!config.text.contains("TOKEN"), "{}", config.text);
    let error = rendered(&definitions, &[("token", "canary-1234")]).unwrap_err().to_string();
    assert!(error.contains("it is a secret") && !error.contains("canary"), "{error}");
    let set = layers::settings(&[("token".into(), "canary-1234".into())]).unwrap();
    let resolved = resolve(&definitions, &selection(), &set).unwrap();
    let shown: Vec<String> = resolved.merged.history()["token"].iter().map(|step| step.given.clone()).collect();
    assert_eq!(shown, ["env(\"TOKEN\")", "[secret]"], "nor is one from a file explained");
}

#[test]
fn what_is_typed_for_a_string_stays_as_it_was_typed() {
    let definitions = definitions(SCHEMA, "", "n = var.name\nl = var.tags\n");
    for (typed, text) in [("1.10", "1.10"), ("true", "true"), ("\"x\"", "x"), ("a b", "a b"), ("[1]", "[1]")] {
        let config = rendered(&definitions, &[("name", typed)]).unwrap();
        assert_eq!(config.variables["n"].given, Given::Value(Value::Text(text.to_owned())), "{typed}");
    }
    assert!(rendered(&definitions, &[("name", "null")]).unwrap_err().to_string().contains("required"));
    let config = rendered(&definitions, &[("name", "x"), ("tags", "[\"a\"]")]).unwrap();
    assert!(matches!(&config.variables["l"].given, Given::Value(Value::List(_))));
}

#[test]
fn a_packer_variable_is_assigned_by_one_template() {
    let definitions = definitions(SCHEMA, "name = \"x\"\n", "n = var.name\n");
    let resolved = resolve(&definitions, &selection(), &[]).unwrap();
    let twice = ["t.pkrvars.hcl".to_owned(), "t.pkrvars.hcl".to_owned()];
    let error = generate_env_config(&definitions, resolved, &twice, &BuildFacts::new()).unwrap_err().to_string();
    assert!(error.contains("n is assigned twice, at t.pkrvars.hcl:1 and at t.pkrvars.hcl:1"), "{error}");
}

#[test]
fn explain_gives_every_layer_that_had_a_say() {
    let definitions = definitions(SCHEMA, "name = \"x\"\nlabels = { env = \"none\" }\n", "n = var.name\n");
    let resolved = resolve(&definitions, &selection(), &layers::settings(&[("name".into(), "y".into())]).unwrap());
    let resolved = resolved.unwrap();
    let names = |name| explain(&resolved.merged, name).into_iter().map(|one| one.path).collect::<Vec<_>>();
    assert_eq!(names(None), ["labels.env", "name", "tags"]);
    assert_eq!(names(Some("labels")), ["labels.env"]);
    assert!(names(Some("label")).is_empty());
    let one = &explain(&resolved.merged, Some("name"))[0];
    assert_eq!(one.value, "\"y\"");
    let layers: Vec<_> = one.steps.iter().map(|step| (step.layer, step.place.to_string())).collect();
    let default = (Layer::Default, "overlays/default.pkrvars.hcl:1".to_owned());
    assert_eq!(layers, [default, (Layer::Answers, "--set".to_owned())]);
}
