//! Which licences are found where.

use super::*;

const MIT: &str = "MIT License\n\nCopyright (c) 2020 Bob\n\nPermission is hereby granted, free of charge, to any person obtaining a \
    copy of this software and associated documentation files (the \"Software\"), to deal in the Software without restriction, \
    including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of \
    the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:\n\n\
    The above copyright notice and this permission notice shall be included in all copies or substantial portions of the \
    Software.\n\nTHE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED \
    TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS \
    OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR \
    OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.\n";

fn of(files: &[(&str, &str)]) -> Vec<String> {
    let mut licences = Licences::default();
    files.iter().for_each(|(path, content)| licences.look_at(path, content.as_bytes()));
    licences.ended().into_iter().map(|id| id.to_string()).collect()
}

#[test]
fn licence_texts_are_known_by_their_text_whatever_the_file_is_called() {
    for path in ["LICENSE", "license.md", "LICENCE-MIT", "COPYING", "vendor/x/License.txt", "LICENSES/whatever.txt"] {
        assert_eq!(of(&[(path, MIT)]), ["MIT"], "{path}");
    }
    for path in ["src/license.rs", "licensee.json", "README.md", "docs/relicense"] {
        assert_eq!(of(&[(path, MIT)]), [NONE], "{path}");
    }
}

#[test]
fn gnu_licences_are_known_by_text_title_and_tag() {
    let notice = "GNU AFFERO GENERAL PUBLIC LICENSE\n   Version 3, 19 November 2007\n";
    assert_eq!(of(&[("COPYING", notice)]), ["AGPL-3.0-only"]);
    let later = "under the GNU Lesser General Public License, version 2.1 or (at your option) any later version";
    assert_eq!(of(&[("LICENSE", later)]), ["LGPL-2.1-or-later"]);
    let known = Store::load_inline().unwrap();
    for (name, own) in [("AGPL-3.0-or-later", "AGPL-3.0-only"), ("GPL-2.0+", "GPL-2.0-only"), ("MIT", "MIT")] {
        assert!(known.get_original(name).is_some(), "the data names {name}");
        assert_eq!(own_name(name, LicenseType::Original), own);
    }
}

#[test]
fn tags_count_in_any_file_and_hide_no_text() {
    let tag = |expression: &str| of(&[("src/main.c", &format!("/* SPDX-License-Identifier: {expression} */\nint x;"))]);
    assert_eq!(tag("AGPL-3.0-or-later"), ["AGPL-3.0-or-later"]);
    assert_eq!(tag("(MIT OR Apache-2.0) AND BSD-3-Clause"), ["Apache-2.0", "BSD-3-Clause", "MIT"]);
    assert_eq!(tag("GPL-2.0"), ["GPL-2.0-only"]);
    assert_eq!(tag("GPL-2.0+"), ["GPL-2.0-or-later"]);
    assert_eq!(tag("LicenseRef-Own"), ["LicenseRef-Own"]);
    let agpl = "SPDX-License-Identifier: MIT\nGNU AFFERO GENERAL PUBLIC LICENSE Version 3";
    assert_eq!(of(&[("LICENSE", agpl)]), ["AGPL-3.0-only", "MIT"]);
}

/// `agpl-3.0-only` reached policies in that case, and no licence rule matched it.
#[test]
fn tags_have_the_case_of_the_spdx_list_and_hide_no_part_of_an_expression() {
    let tag = |expression: &str| of(&[("src/main.c", &format!("# SPDX-License-Identifier: {expression}\n"))]);
    assert_eq!(tag("agpl-3.0-only"), ["AGPL-3.0-only"]);
    assert_eq!(tag("Agpl-3.0"), ["AGPL-3.0-only"]);
    assert_eq!(tag("gpl-2.0+"), ["GPL-2.0-or-later"]);
    assert_eq!(tag("(mit or APACHE-2.0) and bsd-3-clause"), ["Apache-2.0", "BSD-3-Clause", "MIT"]);
    assert_eq!(tag("GPL-2.0-ONLY with CLASSPATH-exception-2.0"), ["GPL-2.0-only"]);
    assert_eq!(tag("licenseref-Own"), ["LicenseRef-Own"]);
    assert_eq!(tag("Own-1.0 AND agpl-3.0-only"), ["AGPL-3.0-only", "Own-1.0"]);
    assert_eq!(tag("MIT OR agpl-3.0-only -->"), ["AGPL-3.0-only", "MIT"]);
    assert_eq!(of(&[("a.py", "# spdx-license-identifier: mit\n")]), ["MIT"]);
    let long = format!("{} OR AGPL-3.0-only", ["MIT"; 40].join(" OR "));
    assert_eq!(tag(&long), ["MIT", NONE], "what is not read shows");
    assert_eq!(tag(&format!("MIT OR LicenseRef-{}", "x".repeat(80))), ["MIT", NONE]);
}

#[test]
fn a_licence_that_is_missing_unknown_or_left_out_shows() {
    assert_eq!(of(&[]), [NONE]);
    assert_eq!(of(&[("LICENSE", "All rights reserved. Ask Bob."), ("sub/LICENSE", MIT)]), ["MIT", NONE]);
    let large = "x ".repeat(MOST_TEXT_BYTES);
    assert_eq!(of(&[("LICENSE", MIT), ("COPYING", &large)]), ["MIT", NONE]);
    let tags: Vec<_> = (0..100).map(|n| format!("SPDX-License-Identifier: LicenseRef-{n:03}\n")).collect();
    let found = of(&[("a.c", &tags.concat())]);
    assert!(found.len() == MOST_LICENCES && found.contains(&NONE.to_owned()), "{found:?}");
}
