"""Tables that people upload: what is understood, what is refused, and in which words."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slim_app.errors import SlimError
from slim_app.tables import MAX_BYTES, MAX_ROWS, Table, items_from, read_table


@pytest.fixture
def table(tmp_path):
    """Write bytes or text as an uploaded file and read it."""

    def read(content: str | bytes, name: str = "goods.csv", **kwargs) -> Table:
        file = tmp_path / name
        file.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        return read_table(file, **kwargs)

    return read


def titles(found: Table) -> list[str]:
    return [row.get("title", "") for row in found.rows]


@pytest.mark.parametrize(("delimiter", "word"), [(",", ""), (";", ";"), ("\t", "tab"), ("|", "|")])
def test_every_delimiter(table, delimiter, word):
    found = table("id,title,brand\n1,Desk lamp,Ikea\n2,Chair,\n".replace(",", delimiter))
    assert found.rows == ({"id": "1", "title": "Desk lamp", "brand": "Ikea"}, {"id": "2", "title": "Chair"})
    assert found.notices == ((f"Read with “{word}” between columns.",) if word else ())


def test_column_names_that_mean_ours(table):
    found = table("ASIN, Product_Name ,Manufacturer,main_category,Summary\nB01,Lamp,Ikea,Light,Bright\n")
    wanted = {"id": "B01", "title": "Lamp", "brand": "Ikea", "category": "Light", "description": "Bright"}
    assert found.rows == (wanted,)


def test_a_missing_title_column_lists_the_columns_found(table):
    with pytest.raises(SlimError, match=r"no “title” column \(columns found: “foo”, “bar”\)"):
        table("foo,bar\n1,2\n")
    with pytest.raises(SlimError, match="columns found: “sku”"):
        table('{"sku": "1"}\n', "goods.jsonl")
    assert table("id\nG1\n", needs=("title", "id")).rows == ({"id": "G1"},)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom"])
def test_unicode_encodings(table, encoding):
    text = "title,brand\nCafetière 任天堂,Ünal\n"
    bom = {"utf-16-le-bom": b"\xff\xfe", "utf-16-be-bom": b"\xfe\xff"}.get(encoding, b"")
    found = table(bom + text.encode(encoding.removesuffix("-bom")))
    assert found.rows == ({"title": "Cafetière 任天堂", "brand": "Ünal"},)


def test_another_encoding_names_the_line(table):
    with pytest.raises(SlimError, match=r"not UTF-8 text \(line 3\).*CSV UTF-8"):
        table("title\nLamp\nCafetière\n".encode("cp1252"))


@pytest.mark.parametrize("data", [
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(100), b"PK\x03\x04" + bytes(50) + b"\xe9", b"title\nA\0B\n",
])  # fmt: skip
def test_a_binary_file_is_no_text(table, data):
    with pytest.raises(SlimError, match="not a text file"):
        table(data)


@pytest.mark.parametrize("content", ["", "\n\n  \n", "\ufeff"])
def test_an_empty_file(table, content):
    with pytest.raises(SlimError, match="is empty"):
        table(content)


def test_header_only(table):
    with pytest.raises(SlimError, match="no row with a title"):
        items_from(table("id,title\n"), "goods.csv")
    with pytest.raises(SlimError, match="no “title” column"):
        table("id,price\n")


def test_repeated_ids_and_rows_without_title(table):
    items, notices = items_from(table("id,title\n1,Lamp\n1,Chair\n2,\n2,Desk\n,Rug\n1,Bed\n"), "goods.csv")
    assert [(item.id, item.title) for item in items] == [("1", "Lamp"), ("2", "Desk"), ("row-5", "Rug")]
    assert notices == ["1 row without a title left out.", "2 rows repeat ids (first: “1”); the first of each was kept."]


def test_jsonl_with_broken_lines(table):
    lines = ['{"title": "Lamp"}', "5", "{broken", '{"title": "Chair\u2028long"}', '"Rug"', "[1]", '{"title": ', ""]
    found = table("\n".join(lines), "goods.jsonl")
    assert titles(found) == ["Lamp", "Chair long", "Rug"]
    assert found.notices == ("4 lines that are not JSON objects left out (first: line 2).",)
    assert table('{"title": "A"}\n7\n', "a.jsonl").notices == (
        "1 line that is not a JSON object left out (first: line 2).",
    )


def test_a_json_list(table):
    rows = [{"name": "Lamp", "categories": ["Home", "Light"], "price": 3, "brand": None, "id": 7}, "Chair"]
    found = table(json.dumps(rows, indent=1), "goods.json")
    assert found.rows == ({"title": "Lamp", "category": "Home, Light", "id": "7"}, {"title": "Chair"})
    with pytest.raises(SlimError, match="does not end as one"):
        table('[{"title": "Lamp"},', "goods.json")


@pytest.mark.parametrize(
    "bomb", ["[" * 100_000, "[" + "1" * 5000 + "]", '{"a":' * 50_000, '{"id": ' + "9" * 5000 + "}"]
)
def test_json_bombs_get_words(table, bomb):
    with pytest.raises(SlimError):
        table(bomb, "goods.json")


def test_csv_quoting_and_ragged_rows(table):
    found = table('title,brand\n"Lamp, ""big""\nand red",Ikea\nChair\n\n , \nDesk,Ikea,extra\n')
    assert found.rows == (
        {"title": 'Lamp, "big" and red', "brand": "Ikea"}, {"title": "Chair"}, {"title": "Desk", "brand": "Ikea"},
    )  # fmt: skip
    assert found.notices == ("1 row has more cells than the first line has names; the extra cells were left out.",)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_line_end(table, newline):
    assert titles(table(newline.join(["", "title", "Lamp", "Chair"]))) == ["Lamp", "Chair"]


def test_cells_are_cleaned(table):
    found = table("title,description\n<b>Lamp</b>\u202e\x07," + "word " * 1000 + "\n")
    assert found.rows[0]["title"] == "<b>Lamp</b>"
    assert len(found.rows[0]["description"]) <= 1001
    assert table('{"title": "a\\ud800b"}', "a.jsonl").rows == ({"title": "ab"},)


def test_too_many_rows(table):
    rows = "".join(f"Thing {n}\n" for n in range(MAX_ROWS + 1))
    with pytest.raises(SlimError, match="20,001 rows; the limit is 20,000"):
        items_from(table("title\n" + rows), "goods.csv")
    items, notices = items_from(table("title\n" + rows.rsplit("\n", 2)[0]), "goods.csv")
    assert (len(items), notices) == (MAX_ROWS, [])


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    file = tmp_path / "huge.csv"
    with file.open("wb") as handle:
        handle.truncate(200 * 2**20)
    monkeypatch.setattr(type(file), "read_bytes", lambda self: pytest.fail("the file was read"))
    with pytest.raises(SlimError, match=r"“huge\.csv” has 200 MB; the limit is 20 MB"):
        read_table(file)
    with file.open("wb") as handle:
        handle.truncate(MAX_BYTES + 1)
    with pytest.raises(SlimError, match="the limit is 20 MB"):
        read_table(file)


def test_hostile_file_name_in_messages(table):
    with pytest.raises(SlimError) as caught:
        table("", name="x" * 200 + ".csv")
    assert len(str(caught.value)) < 200


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=120),
        st.text(max_size=120).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.text('title,;|"\t\n\r {}[]:\\x0b\u2028ab1', max_size=80).map(lambda text: f"title,id\n{text}".encode()),
        st.text('"{}[]:,\n\\u9title ', max_size=60).map(lambda text: f'{{"title": "{text}"}}\n{text}'.encode()),
    ),
    st.sampled_from(["a.csv", "a.jsonl", "a.json", "a"]),
)
@example(b"\x0c[", "a.csv")
@example(b"\xff\xfe\x00", "a.csv")
@example(b'title\n"' + b"x" * 2_000_000, "a.csv")
def test_any_bytes_are_a_table_or_get_words(tmp_path_factory, data, name):
    file = tmp_path_factory.getbasetemp() / name
    file.write_bytes(data)
    try:
        found = read_table(file)
        items, _ = items_from(found, name)
    except SlimError as error:
        assert str(error).endswith("."), error
        return
    assert items and all(item.id and item.title for item in items)
    assert len({item.id for item in items}) == len(items)
