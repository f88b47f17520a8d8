//! The texts that an expression of HCL may give.

use hcl::expr::{Expression, ForExpr, FuncCall, ObjectKey, Operation, TemplateExpr, Traversal, TraversalOperator};
use hcl::template::{Directive, Element, Template};

use super::{Reader, Texts};

/// How deep locals, variables and expressions may lead; open beyond.
const DEEPEST: usize = 64;
/// Functions whose first argument is a file that is read.
const READS: [&str; 11] = [
    "file",
    "filebase64",
    "filebase64sha256",
    "filebase64sha512",
    "fileexists",
    "filemd5",
    "filesha1",
    "filesha256",
    "filesha512",
    "templatefile",
    "filebase64gzip",
];
/// Functions that give nothing but texts of their arguments.
const PASS_ON: [&str; 27] = [
    "chomp",
    "coalesce",
    "coalescelist",
    "compact",
    "concat",
    "convert",
    "distinct",
    "element",
    "flatten",
    "lookup",
    "merge",
    "one",
    "pathexpand",
    "reverse",
    "setintersection",
    "setsubtract",
    "setunion",
    "slice",
    "sort",
    "tolist",
    "tomap",
    "toset",
    "tostring",
    "trimspace",
    "try",
    "values",
    "zipmap",
];

impl Reader<'_> {
    /// Every text that an expression may give; within lists and objects, those of all members.
    pub(super) fn texts(&mut self, expression: &Expression) -> Texts {
        if self.depth >= DEEPEST {
            return Texts::open();
        }
        self.depth += 1;
        let texts = self.texts_of(expression);
        self.depth -= 1;
        texts
    }

    fn texts_of(&mut self, expression: &Expression) -> Texts {
        match expression {
            Expression::Null => Texts::default(),
            Expression::Bool(value) => Texts::one(value.to_string()),
            Expression::Number(value) => Texts::one(value.to_string()),
            Expression::String(text) => Texts::one(text.as_str()),
            Expression::Array(items) => self.union(items),
            Expression::Object(members) => {
                let keys = members.keys().filter_map(|key| match key {
                    ObjectKey::Expression(key @ (Expression::TemplateExpr(_) | Expression::FuncCall(_))) => Some(key),
                    _ => None,
                });
                keys.for_each(|key| drop(self.texts(key)));
                self.union(members.values())
            }
            Expression::TemplateExpr(template) => self.template(template),
            Expression::Variable(variable) => self.bound(variable.as_str()),
            Expression::Traversal(traversal) => self.traversal(traversal),
            Expression::FuncCall(call) => self.call(call),
            Expression::Parenthesis(inner) => self.texts(inner),
            Expression::Conditional(either) => {
                self.texts(&either.cond_expr);
                self.union([&either.true_expr, &either.false_expr])
            }
            Expression::Operation(operation) => {
                match operation.as_ref() {
                    Operation::Unary(unary) => drop(self.texts(&unary.expr)),
                    Operation::Binary(binary) => drop(self.union([&binary.lhs_expr, &binary.rhs_expr])),
                }
                // A number or a truth value, and so no path.
                Texts::default()
            }
            Expression::ForExpr(each) => self.each(each),
            _ => Texts::open(),
        }
    }

    fn union<'e>(&mut self, expressions: impl IntoIterator<Item = &'e Expression>) -> Texts {
        let mut all = Texts::default();
        for expression in expressions {
            let texts = self.texts(expression);
            all.add(texts);
        }
        all
    }

    fn bound(&self, name: &str) -> Texts {
        let found = self.bound.iter().rev().find(|(bound, _)| bound == name);
        found.map_or_else(Texts::open, |(_, texts)| texts.clone())
    }

    fn each(&mut self, each: &ForExpr) -> Texts {
        let collection = self.texts(&each.collection_expr);
        let before = self.bound.len();
        self.bound.push((each.value_var.as_str().to_owned(), collection));
        if let Some(key) = &each.key_var {
            self.bound.push((key.as_str().to_owned(), Texts::open()));
        }
        let parts = [each.key_expr.as_ref(), each.cond_expr.as_ref()];
        parts.into_iter().flatten().for_each(|part| drop(self.texts(part)));
        let texts = self.texts(&each.value_expr);
        self.bound.truncate(before);
        texts
    }

    fn template(&mut self, template: &TemplateExpr) -> Texts {
        match Template::from_expr(template) {
            Ok(template) => self.elements(&template),
            Err(_) => Texts::open(),
        }
    }

    pub(super) fn elements(&mut self, template: &Template) -> Texts {
        let mut whole = Texts::one("");
        for element in template.elements() {
            let part = match element {
                Element::Literal(text) => Texts::one(text.as_str()),
                Element::Interpolation(interpolation) => self.texts(&interpolation.expr),
                Element::Directive(directive) => self.directive(directive),
            };
            whole = whole.followed_by(&part);
        }
        whole
    }

    fn directive(&mut self, directive: &Directive) -> Texts {
        match directive {
            Directive::If(either) => {
                self.texts(&either.cond_expr);
                let mut all = self.elements(&either.true_template);
                let other = either.false_template.as_ref().map(|template| self.elements(template));
                all.add(other.unwrap_or_else(|| Texts::one("")));
                all
            }
            Directive::For(each) => {
                // For the files that are read within; the text is of unknown length.
                let collection = self.texts(&each.collection_expr);
                self.bound.push((each.value_var.as_str().to_owned(), collection));
                self.elements(&each.template);
                self.bound.pop();
                Texts::open()
            }
        }
    }

    fn traversal(&mut self, traversal: &Traversal) -> Texts {
        for operator in &traversal.operators {
            if let TraversalOperator::Index(index) = operator {
                self.texts(index);
            }
        }
        let Expression::Variable(head) = &traversal.expr else { return self.texts(&traversal.expr) };
        let member = match traversal.operators.first() {
            Some(TraversalOperator::GetAttr(name)) => Some(name.as_str()),
            Some(TraversalOperator::Index(Expression::String(name))) => Some(name.as_str()),
            _ => None,
        };
        match (head.as_str(), member) {
            ("path", Some("root")) => Texts::one(self.ground.own.to_string_lossy()),
            ("path", Some("cwd")) => Texts::one(self.ground.folder.to_string_lossy()),
            ("var", Some(name)) => self.variable(name),
            ("local", Some(name)) => match self.locals.get(name).cloned() {
                Some(local) => self.texts(&local),
                None => Texts::open(),
            },
            ("path" | "var" | "local", _) => Texts::open(),
            (name, _) => self.bound(name),
        }
    }

    pub(super) fn variable(&self, name: &str) -> Texts {
        self.variables.get(name).cloned().unwrap_or_else(Texts::open)
    }

    fn call(&mut self, call: &FuncCall) -> Texts {
        let name = call.name.name.as_str();
        if READS.contains(&name) {
            let files = call.args.first().map(|first| self.texts(first)).unwrap_or_default();
            call.args.iter().skip(1).for_each(|argument| drop(self.texts(argument)));
            self.read(name, files);
            return Texts::open();
        }
        match (name, call.args.as_slice()) {
            ("fileset", [folder, pattern]) => {
                let (folder, pattern) = (self.texts(folder), self.texts(pattern));
                let listed = folder.followed_by(&Texts::one("/")).followed_by(&pattern);
                self.read(name, listed);
                // The folder that is listed counts whole, and so do its files.
                Texts::default()
            }
            ("abspath", [path]) => {
                let texts = self.texts(path);
                texts.map(|text| self.absolute(text))
            }
            ("dirname", [path]) => self.texts(path).map(|text| match text.trim_end_matches('/').rsplit_once('/') {
                Some(("", _)) => "/".to_owned(),
                Some((folder, _)) => folder.to_owned(),
                None => ".".to_owned(),
            }),
            ("basename", [path]) => {
                self.texts(path).map(|text| text.trim_end_matches('/').rsplit('/').next().unwrap_or(text).to_owned())
            }
            ("join", [separator, lists @ ..]) => self.joined(separator, lists),
            ("format", [form, arguments @ ..]) => self.formatted(form, arguments),
            ("lower", [text]) => self.texts(text).map(str::to_lowercase),
            ("upper", [text]) => self.texts(text).map(str::to_uppercase),
            ("trimprefix", [text, Expression::String(cut)]) => {
                self.texts(text).map(|text| text.strip_prefix(cut.as_str()).unwrap_or(text).to_owned())
            }
            ("trimsuffix", [text, Expression::String(cut)]) => {
                self.texts(text).map(|text| text.strip_suffix(cut.as_str()).unwrap_or(text).to_owned())
            }
            ("replace", [text, Expression::String(from), Expression::String(to)]) if !from.starts_with('/') => {
                self.texts(text).map(|text| text.replace(from.as_str(), to))
            }
            (name, arguments) => {
                let texts = self.union(arguments);
                if PASS_ON.contains(&name) { texts } else { Texts::open() }
            }
        }
    }

    /// `join(separator, [a, b])` of lists that are written out; others are open.
    fn joined(&mut self, separator: &Expression, lists: &[Expression]) -> Texts {
        let separator = self.texts(separator);
        let (mut whole, mut is_first) = (Texts::one(""), true);
        for list in lists {
            let Expression::Array(items) = list else {
                self.union(lists);
                return Texts::open();
            };
            for item in items {
                if !std::mem::take(&mut is_first) {
                    whole = whole.followed_by(&separator);
                }
                let item = self.texts(item);
                whole = whole.followed_by(&item);
            }
        }
        whole
    }

    /// `format` with `%s`, `%v` and `%d` alone.
    fn formatted(&mut self, form: &Expression, arguments: &[Expression]) -> Texts {
        let values: Vec<Texts> = arguments.iter().map(|argument| self.texts(argument)).collect();
        let Expression::String(form) = form else { return Texts::open() };
        let (mut whole, mut values) = (Texts::one(""), values.iter());
        let mut pieces = form.split('%');
        whole = whole.followed_by(&Texts::one(pieces.next().unwrap_or_default()));
        for piece in pieces {
            let rest = piece.strip_prefix(['s', 'v', 'd']);
            let (Some(rest), Some(value)) = (rest, values.next()) else { return Texts::open() };
            whole = whole.followed_by(value).followed_by(&Texts::one(rest));
        }
        whole
    }
}
