//! CONTRIBUTING.md against the tree: its paths exist, and each recipe lists files that have its example.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    std::fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap()
}

/// Texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The forms in which code spells a name: `Council_Eject`, `CouncilEject`, `eject`; the last part of a setting or path.
fn spellings(example: &str) -> Vec<String> {
    let last = example.rsplit(['.', '/']).next().unwrap();
    let camel: String = last.split('_').map(|part| part[..1].to_uppercase() + &part[1..]).collect();
    let verb =
        last.split_once('_').filter(|_| last.starts_with(char::is_uppercase)).map(|(_, verb)| verb.to_lowercase());
    [last.to_owned(), camel].into_iter().chain(verb).collect()
}

#[test]
fn every_file_that_a_recipe_lists_has_the_recipes_example() {
    let page = page();
    let recipes: Vec<&str> = page.split("\n### ").skip(1).collect();
    assert_eq!(recipes.len(), 5, "guard, transition, effect, endpoint, setting");
    for recipe in recipes {
        let (heading, text) = recipe.split_once('\n').unwrap();
        let spellings = spellings(quoted(heading).next().unwrap());
        let steps: Vec<&str> =
            text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).collect();
        assert!(steps.len() >= 3, "{heading}: {steps:?}");
        for step in steps {
            let path = quoted(step).next().unwrap();
            let content = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(
                spellings.iter().any(|name| content.contains(name.as_str())),
                "{heading}: {path} has none of {spellings:?}"
            );
        }
    }
}

/// Files move; a page for newcomers must follow.
#[test]
fn every_path_of_the_page_exists() {
    let page = page();
    let links = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let is_path = |text: &&str| text.contains('/') && !text.contains([' ', '<', '~']) && !text.starts_with('/');
    let named: Vec<&str> = quoted(&page).filter(is_path).chain(links).collect();
    assert!(named.len() > 40, "{named:?}");
    for path in named {
        // `executors/` is below the file that names it.
        let places = [root(), root().join("crates/effects/src")];
        assert!(places.iter().any(|place: &PathBuf| Path::new(place).join(path).exists()), "{path} is not there");
    }
}

#[test]
fn the_commands_of_the_page_are_targets_and_tests_of_the_tree() {
    let page = page();
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let targets = ["`make ", "=1 make "].into_iter().flat_map(|before| page.split(before).skip(1));
    for target in targets.filter_map(|rest| rest.split([' ', '`', '\n', ',']).next()) {
        assert!(makefile.contains(&format!("\n{target}:")), "make {target}");
    }
    let named = page.split("--test integration -- ").skip(1).filter_map(|rest| rest.split(['`', '\n']).next());
    let modules = std::fs::read_to_string(root().join("tests/integration/main.rs")).unwrap();
    for module in named.flat_map(str::split_whitespace).map(|module| module.trim_end_matches("::")) {
        assert!(modules.contains(&format!("mod {module};")), "{module}");
    }
    for (name, file) in [
        ("openapi", "crates/http/src/openapi.rs"),
        ("rejections_is", "crates/http/src/docs/rejections.rs"),
        ("templates", "crates/decisions/src/summary.rs"),
        ("document", "crates/settings/src/document.rs"),
        ("default_policies", "crates/facts/src/default_policies.rs"),
    ] {
        assert!(page.contains(&format!("TESTS={name}")));
        assert!(std::fs::read_to_string(root().join(file)).unwrap().contains("SWOOSH_BLESS"), "{file}");
    }
}
