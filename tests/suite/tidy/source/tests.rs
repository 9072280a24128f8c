//! The lexer on made-up snippets.

use super::{Source, Tree, closing, split, words};

/// Checks the code and the literals that are left of `text`, runs of blanks taken as one.
fn check(text: &str, code: &str, literals: &str) {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (kept_code, kept_literals) = split(text);
    assert_eq!(kept_code.len(), text.len());
    assert_eq!(kept_literals.len(), text.len());
    assert_eq!((squeeze(&kept_code).as_str(), squeeze(&kept_literals).as_str()), (code, literals));
}

#[test]
fn comments_are_not_code() {
    check("a // b \"c\"\nd", "a d", "");
    check("a /* b /* c */ \" */ d", "a d", "");
    check("//! unsafe\n/// unsafe\nfn f() {}", "fn f() {}", "");
    check("a /* open", "a", "");
}

#[test]
fn literals_are_not_code() {
    check(r#"f("a { // \" b", c)"#, "f( , c)", r#""a { // \" b""#);
    check(
        "f(r#\"a \" {\"#, b\"{\", br\"\\\", c)",
        "f( , b , b , c)",
        "r#\"a \" {\"# \"{\" r\"\\\"",
    );
    check("r#type + bar\"x\"", "r#type + bar", "\"x\"");
    check("\"é\" + x", "+ x", "\"é\"");
}

#[test]
fn characters_are_told_from_lifetimes() {
    check("f::<'a>('{', '\\'', 'é', '\"') }", "f::<'a>( , , , ) }", "");
    check("'outer: loop { break 'outer }", "'outer: loop { break 'outer }", "");
}

#[test]
fn a_word_is_not_a_part_of_a_longer_one() {
    assert_eq!(words("unsafe_code unsafe\n(unsafe)", "unsafe").collect::<Vec<_>>(), [12, 20]);
}

#[test]
fn brackets_close_where_they_should() {
    assert_eq!(closing("f(a[0], {b}) c", 1), 12);
    assert_eq!(closing("{ never", 0), 7);
}

#[test]
fn what_is_for_tests_does_not_count() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { x(\"}\") }\n}\nfn c() {}\n";
    let source = Source::new("agent/src/a.rs", text);
    assert_eq!(source.lines, 2);
    assert_eq!(source.code.split_whitespace().collect::<String>(), "fna(){}fnc(){}");
    assert!(source.all_code.contains("fn b"));
    assert_eq!(source.line(source.code.find("fn c").expect("kept")), 6);
}

#[test]
fn a_field_for_tests_ends_at_its_comma() {
    let source = Source::new("a.rs", "struct A {\n#[cfg(test)]\nb: Vec<u8>,\nc: u8 }\nfn d() {}");
    assert!(source.code.contains("c: u8 }\nfn d() {}"), "{}", source.code);
    assert!(!source.code.contains("Vec"));
}

#[test]
fn a_head_with_commas_and_semicolons_is_taken_whole() {
    let text = "#[cfg(test)]\n#[allow(x)]\nfn a<B, C>(d: [u8; 3]) -> B { e }\nfn f() {}";
    assert_eq!(Source::new("a.rs", text).code.trim(), "fn f() {}");
}

#[test]
fn modules_for_tests_are_not_product() {
    let files = vec![
        Source::new("agent/src/rules.rs", "#[cfg(test)]\nmod tests;\nmod xid;"),
        Source::new("agent/src/rules/tests.rs", ""),
        Source::new("agent/src/rules/xid.rs", ""),
        Source::new("tests/suite/main.rs", ""),
    ];
    let tree = Tree::new(files);
    let product: Vec<_> = tree.product().map(|file| file.path.as_str()).collect();
    assert_eq!(product, ["agent/src/rules.rs", "agent/src/rules/xid.rs"]);
}

#[test]
fn modules_are_named_from_their_path() {
    let names = |path| Source::new(path, "").modules().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(names("agent/src/rules/xid.rs"), ["rules", "xid"]);
    assert_eq!(names("tests/sim/src/lib.rs"), ["lib"]);
}
