//! The lines of `packer -machine-readable`: `timestamp,target,type,data…`, with other lines between them.
//!
//! A comma within data is written `%!(PACKER_COMMA)`, a line end `\n`, a carriage return `\r`. The last two look the
//! same as a backslash and a letter, so a text that contains `\n` is read as a line end.

/// Escape of a comma.
const COMMA: &str = "%!(PACKER_COMMA)";

/// One machine-readable line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it was written, in seconds since 1970.
    pub timestamp_s: u64,
    /// The build that it is about; `None` when it is about all of them.
    pub target: Option<String>,
    pub said: Said,
}

/// How loudly a line for people is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loudness {
    /// Progress.
    Say,
    /// Output of a build's own programs.
    Message,
    Error,
}

/// The message of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A text for people, maybe of several lines.
    Ui {
        /// How loudly.
        loudness: Loudness,
        text: String,
    },
    /// Packer's version.
    Version(String),
    /// How many artifacts the target has.
    ArtifactCount(u64),
    /// Something about an artifact of the target.
    Artifact {
        /// Which one, from 0.
        index: u64,
        part: ArtifactPart,
    },
    /// How many builds failed.
    ErrorCount(u64),
    /// Why the target failed.
    BuildError(String),
    /// Anything else, kept as it came.
    Other {
        /// Its type.
        kind: String,
        data: Vec<String>,
    },
}

/// Something about an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArtifactPart {
    /// Which builder or post-processor made it.
    BuilderId(String),
    /// Its id in that builder's world.
    Id(String),
    /// It, in words.
    Text(String),
    /// How many files it has.
    FileCount(u64),
    /// One of its files.
    File(String),
    /// The build made none.
    Nothing,
    /// Nothing more comes of it.
    End,
}

/// Reads a line; `None` when it is none of packer's records (half a line, or what another program wrote).
pub fn parse(line: &str) -> Option<Record> {
    let mut fields = line.split(',');
    let timestamp_s = fields.next().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
    let target = fields.next()?;
    let kind = fields.next().filter(|kind| is_kind(kind))?;
    let data: Vec<String> = fields.map(unescape).collect();
    let target = if target.is_empty() { None } else { Some(unescape(target)) };
    Some(Record { timestamp_s, target, said: said(kind, data) })
}

fn is_kind(kind: &str) -> bool {
    !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn unescape(field: &str) -> String {
    field.replace(COMMA, ",").replace("\\n", "\n").replace("\\r", "\r")
}

fn said(kind: &str, data: Vec<String>) -> Said {
    let texts: Vec<&str> = data.iter().map(String::as_str).collect();
    let known = match (kind, texts.as_slice()) {
        ("ui", ["say", text]) => Some(Said::Ui { loudness: Loudness::Say, text: (*text).to_owned() }),
        ("ui", ["message", text]) => Some(Said::Ui { loudness: Loudness::Message, text: (*text).to_owned() }),
        ("ui", ["error", text]) => Some(Said::Ui { loudness: Loudness::Error, text: (*text).to_owned() }),
        ("version", [version]) => Some(Said::Version((*version).to_owned())),
        ("artifact-count", [count]) => count.parse().ok().map(Said::ArtifactCount),
        ("error-count", [count]) => count.parse().ok().map(Said::ErrorCount),
        ("error", [text]) => Some(Said::BuildError((*text).to_owned())),
        ("artifact", [index, rest @ ..]) => {
            index.parse().ok().zip(part(rest)).map(|(index, part)| Said::Artifact { index, part })
        }
        _ => None,
    };
    known.unwrap_or(Said::Other { kind: kind.to_owned(), data })
}

fn part(fields: &[&str]) -> Option<ArtifactPart> {
    Some(match fields {
        ["builder-id", id] => ArtifactPart::BuilderId((*id).to_owned()),
        ["id", id] => ArtifactPart::Id((*id).to_owned()),
        ["string", text] => ArtifactPart::Text((*text).to_owned()),
        ["files-count", count] => ArtifactPart::FileCount(count.parse().ok()?),
        ["file", number, path] if number.parse::<u64>().is_ok() => ArtifactPart::File((*path).to_owned()),
        ["nil"] => ArtifactPart::Nothing,
        ["end"] => ArtifactPart::End,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(line: &str) -> Said {
        parse(line).unwrap().said
    }

    #[test]
    fn commas_line_ends_and_carriage_returns_are_put_back() {
        let record =
            parse(r"1795254842,web%!(PACKER_COMMA)1,ui,error,Error: a%!(PACKER_COMMA) b\n\n  on x\r\n").unwrap();
        assert_eq!(record.timestamp_s, 1_795_254_842);
        assert_eq!(record.target.as_deref(), Some("web,1"));
        let text = "Error: a, b\n\n  on x\r\n".to_owned();
        assert_eq!(record.said, Said::Ui { loudness: Loudness::Error, text });
    }

    #[test]
    fn every_type_that_packer_writes_is_understood() {
        assert_eq!(of("1,,version,1.6.6"), Said::Version("1.6.6".to_owned()));
        assert_eq!(of("1,,error-count,2"), Said::ErrorCount(2));
        assert_eq!(of("1,a,error,no"), Said::BuildError("no".to_owned()));
        assert_eq!(of("1,a,artifact-count,1"), Said::ArtifactCount(1));
        for (line, part) in [
            ("1,a,artifact,0,builder-id,packer.file", ArtifactPart::BuilderId("packer.file".to_owned())),
            ("1,a,artifact,0,id,File", ArtifactPart::Id("File".to_owned())),
            ("1,a,artifact,0,string,Stored", ArtifactPart::Text("Stored".to_owned())),
            ("1,a,artifact,0,files-count,3", ArtifactPart::FileCount(3)),
            ("1,a,artifact,0,file,2,out/a", ArtifactPart::File("out/a".to_owned())),
            ("1,a,artifact,0,nil", ArtifactPart::Nothing),
            ("1,a,artifact,0,end", ArtifactPart::End),
        ] {
            assert_eq!(of(line), Said::Artifact { index: 0, part }, "{line}");
        }
    }

    #[test]
    fn unknown_types_and_malformed_known_ones_are_kept_as_they_came() {
        for (line, kind, data) in [
            ("1,,template-variable,a,b", "template-variable", vec!["a", "b"]),
            ("1,,version-prelease,", "version-prelease", vec![""]),
            ("1,,ui,machine,x", "ui", vec!["machine", "x"]),
            ("1,a,artifact,first,id,x", "artifact", vec!["first", "id", "x"]),
            ("1,a,artifact,0,new-thing,x", "artifact", vec!["0", "new-thing", "x"]),
            ("1,,error-count,many", "error-count", vec!["many"]),
        ] {
            let data = data.into_iter().map(str::to_owned).collect();
            assert_eq!(of(line), Said::Other { kind: kind.to_owned(), data }, "{line}");
        }
    }

    #[test]
    fn half_lines_and_the_words_of_other_programs_are_no_records() {
        for line in ["", "1", "1,", "1,,", "1,a,", "hello", "hello, world, ui", "-1,,ui,say,x", "1,,not a type,x"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn text_of_any_kind_is_read_without_a_panic(line in "([0-9]{0,25},)?(\\PC|,|ui|artifact|\\\\n){0,30}") {
            let _ = parse(&line);
        }

        #[test]
        fn a_text_without_escapes_comes_out_as_it_went_in(text in "[a-zA-Z0-9 %!()_]{0,60}") {
            let expected = Said::Ui { loudness: Loudness::Say, text: text.clone() };
            prop_assert_eq!(of(&format!("12,t,ui,say,{text}")), expected);
        }
    }
}
