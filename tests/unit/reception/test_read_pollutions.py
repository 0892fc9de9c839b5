"""Reading with no layout, as a specification: kind of pollution, file, table that must come out."""

import contextlib
import io
import string
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pollutions import clean_tables, lost, pollutions

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.reception import detected, textlines
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.read import table_of, to_csv

QUIET = settings(max_examples=150, deadline=None)

# What is lost where the text does not tell, in % of the cells: a separator that is gone between
# two texts, a row with another separator whose quoted text goes over two lines.
MAY_LOSE = {"separator too few": 1.0, "row of blanks": 1.0}


@pytest.mark.parametrize("name", ["orders", "towns", "words", "numbers"])
@pytest.mark.parametrize("seed", [11, 12])
def test_a_polluted_file_gives_its_clean_table(name: str, seed: int) -> None:
    wrong: dict[str, list[float]] = {}
    for kind, data, expected in pollutions(clean_tables(seed)[name], seed):
        table = table_of(data)
        header, _, cells, added = lost(expected, table.header, list(table.rows))
        wrong.setdefault(kind, []).append(100 * max(cells, added, 0.0 if header else 1.0))
    means = {kind: sum(shares) / len(shares) for kind, shares in wrong.items()}
    assert {kind: mean for kind, mean in means.items() if mean > MAY_LOSE.get(kind, 0.0)} == {}


FILES = {
    "titles and notes of an open-data portal": (
        "Relatório de Execução;;;\nExercício: 2023;;;\n;;;\nÓrgão;UG;Empenhado (R$);Pago (R$)\n"
        "Saúde;1001;1.234.567,89;1.000.000,00\nEducação;1002;234.567,00;200.000,50\n"
        "Cultura;1003;34.567,10;-\nTotal;;1.503.701,99;1.200.000,50\nFonte: SIAFI.;;;\n",
        ["Órgão", "UG", "Empenhado (R$)", "Pago (R$)"],
        [
            ["Saúde", "1001", "1.234.567,89", "1.000.000,00"],
            ["Educação", "1002", "234.567,00", "200.000,50"],
            ["Cultura", "1003", "34.567,10", "-"],
            ["Total", "", "1.503.701,99", "1.200.000,50"],
        ],
    ),
    "years as titles": (
        "Município;2019;2020\nItu;10;12\nSalto;11;9\nJundiaí;100;120\n",
        ["Município", "2019", "2020"],
        [["Itu", "10", "12"], ["Salto", "11", "9"], ["Jundiaí", "100", "120"]],
    ),
    "facts about the file before it": (
        "agency,X\nunit,kg\nyear,2020\nstate,final\n\nid,a,b,c\n1,2,3,4\n2,3,4,5\n3,4,5,6\n",
        ["id", "a", "b", "c"],
        [["1", "2", "3", "4"], ["2", "3", "4", "5"], ["3", "4", "5", "6"]],
    ),
    "titles of groups": (
        "Region,Male,,Female,\n,Count,%,Count,%\nNorth,10,50,10,50\nSouth,20,40,30,60\n"
        "East,5,50,5,50\n",
        ["Region", "Male Count", "Male %", "Female Count", "Female %"],
        [
            ["North", "10", "50", "10", "50"],
            ["South", "20", "40", "30", "60"],
            ["East", "5", "50", "5", "50"],
        ],
    ),
    "texts of Excel": (
        'cod;v\n="0012";10,5\n="0013";1,5\n',
        ["cod", "v"],
        [["0012", "10,5"], ["0013", "1,5"]],
    ),
    "a data frame with row names": (
        '"a" "b"\n"1" 5.1 3.5\n"2" 4.9 3.0\n"3" 4.7 3.2\n',
        ["", "a", "b"],
        [["1", "5.1", "3.5"], ["2", "4.9", "3.0"], ["3", "4.7", "3.2"]],
    ),
    "a text that holds the separator, without quotes": (
        "id,city,pop\n1,São Paulo, SP,12000\n2,Rio,6000\n3,Ubá,100\n4,Itu,170\n5,Lins,70\n",
        ["id", "city", "pop"],
        [
            ["1", "São Paulo, SP", "12000"],
            ["2", "Rio", "6000"],
            ["3", "Ubá", "100"],
            ["4", "Itu", "170"],
            ["5", "Lins", "70"],
        ],
    ),
    "sentences are one column": (
        "comment\nhello, world\nI like it, really\nok\n",
        ["comment"],
        [["hello, world"], ["I like it, really"], ["ok"]],
    ),
    "dates are one column": (
        "2020-01-01\n2020-01-02\n2020-01-03\n",
        ["coluna_1"],
        [["2020-01-01"], ["2020-01-02"], ["2020-01-03"]],
    ),
    "a drawn table": (
        "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n",
        ["a", "b"],
        [["1", "2"], ["3", "4"]],
    ),
    "a separator of no list": ("a§b\n1§x\n2§y\n", ["a", "b"], [["1", "x"], ["2", "y"]]),
    "commented lines": (
        "# tool x, 2020\n# m, s\nx\ty\n1\t2\n3\t4\n",
        ["x", "y"],
        [["1", "2"], ["3", "4"]],
    ),
    "records parted by 0x1E": (
        "a\x1fb\x1e1\x1f2\x1e3\x1f4\x1e",
        ["a", "b"],
        [["1", "2"], ["3", "4"]],
    ),
    "no bytes": ("", [], []),
    "only blank lines": ("\n\r\n\n", [], []),
    "one word": ("x", ["x"], []),
    "titles above a small table": (
        'PORTAL\nPeríodo: 2020\n\n"Órgão";"Unidade";"Valor"\n"Saúde";"FNS; DF";"1,5"\n'
        '"Saúde";"FNS; SP";"2,5"\n\nTotal de registros: 2\n',
        ["Órgão", "Unidade", "Valor"],
        [["Saúde", "FNS; DF", "1,5"], ["Saúde", "FNS; SP", "2,5"]],
    ),
    "texts over several lines, one of them blank": (
        "".join(
            ["id,q,a,d\n", *(f'{n},"x\ny {n}, ""z""","k\n\nm; o",20{n}\n' for n in range(10, 16))]
        ),
        ["id", "q", "a", "d"],
        [[str(n), f'x\ny {n}, "z"', "k\n\nm; o", f"20{n}"] for n in range(10, 16)],
    ),
    "titles of groups over three rows": (
        "Passengers,,,\n,Domestic,,All\nAirport,In,Out,Total\nLuton,1.5,2.5,4.0\nLeeds,3.5,4.5,8.0\n"
        "York,5.5,6.5,12.0\n",
        ["Airport", "Domestic In", "Domestic Out", "All Total"],
        [
            ["Luton", "1.5", "2.5", "4.0"],
            ["Leeds", "3.5", "4.5", "8.0"],
            ["York", "5.5", "6.5", "12.0"],
        ],
    ),
    "separators that only end the rows": (
        "sku\tdesc\tprice\n" + "".join(f'{n}\t{n}" pipe\t{n}.5\t\t\n' for n in range(3, 9)),
        ["sku", "desc", "price"],
        [[str(n), f'{n}" pipe', f"{n}.5"] for n in range(3, 9)],
    ),
    "two columns under facts and a gap": (
        "Report,\nMade,2020\n,\nCountry,GDP\nBrazil,18\nChile,3\nPeru,2\n",
        ["Country", "GDP"],
        [["Brazil", "18"], ["Chile", "3"], ["Peru", "2"]],
    ),
    "files put together with their marks": (
        "\ufeffid,name\n1,Ana\n2,Bia\n\ufeffid,name\n3,Caio\n",
        ["id", "name"],
        [["1", "Ana"], ["2", "Bia"], ["3", "Caio"]],
    ),
    "a total under its column": (
        "day,what,sum\n"
        + "".join(f"0{n}/01/2020,x{n} y,{n}.5\n" for n in range(1, 9))
        + ",,36.0\n",
        ["day", "what", "sum"],
        [*([f"0{n}/01/2020", f"x{n} y", f"{n}.5"] for n in range(1, 9)), ["", "", "36.0"]],
    ),
    "rows in quotes as a whole": (
        'id,name,n\n"1,""Alpha"",10"\n"2,Beta,20"\n"3,Gamma,30"\n',
        ["id", "name", "n"],
        [["1", "Alpha", "10"], ["2", "Beta", "20"], ["3", "Gamma", "30"]],
    ),
    "a header in a comment": (
        "# date level n\n2020-01-01 INFO 5\n2020-01-02 WARN 7\n2020-01-03 INFO 1\n",
        ["date", "level", "n"],
        [["2020-01-01", "INFO", "5"], ["2020-01-02", "WARN", "7"], ["2020-01-03", "INFO", "1"]],
    ),
    "two tables of one width": (
        "name,unit,kind\nbolt,box,metal\nrope,roll,hemp\n\nid,n,m\n1,2,9\n2,3,8\n3,4,7\n",
        ["name", "unit", "kind"],
        [
            ["bolt", "box", "metal"],
            ["rope", "roll", "hemp"],
            *(["id", "n", "m"], ["1", "2", "9"], ["2", "3", "8"], ["3", "4", "7"]),
        ],
    ),
    "a report of pages": (
        "".join(
            f"REPORT OF SUMS, P. {p}\n\nACC;NAME;SUM\n{p}1;Ann;1,5\n{p}2;Bob;2,5\n{p}3;Cid;3,5\n\n"
            for p in (1, 2)
        ),
        ["ACC", "NAME", "SUM"],
        [
            *(["11", "Ann", "1,5"], ["12", "Bob", "2,5"], ["13", "Cid", "3,5"]),
            *(["21", "Ann", "1,5"], ["22", "Bob", "2,5"], ["23", "Cid", "3,5"]),
        ],
    ),
    "pages with their numbers": (
        "".join(
            f"\fSUMS OF BRANCH 7   10:0{p}\nACC;NAME;SUM\n"
            f"{p}1;Ann;1,5\n{p}2;Bob;2,5\n{p}3;Cid;3,5\n--- page {p} of 3 ---\n"
            for p in (1, 2, 3)
        ),
        ["ACC", "NAME", "SUM"],
        [
            [f"{p}{n}", name, f"{n},5"]
            for p in (1, 2, 3)
            for n, name in enumerate(["Ann", "Bob", "Cid"], 1)
        ],
    ),
    "hours alone and pages that are values": (
        "start::ref::n\n"
        + "".join(f"1{n}:31::::\n" for n in range(5))
        + "09:00::page 7::2\n::page 8::\n",
        ["start", "ref", "n"],
        [
            *([f"1{n}:31", "", ""] for n in range(5)),
            *(["09:00", "page 7", "2"], ["", "page 8", ""]),
        ],
    ),
    "pages in columns": (
        "".join(
            f"STATEMENT OF ACCOUNTS       PAGE {p}\n\nAcct  Name     Opened\n"
            + "".join(f"{p}10{n}  Ann Lee  2020-0{p}-1{n}\n" for n in range(8))
            for p in (1, 2)
        ),
        ["Acct", "Name", "Opened"],
        [[f"{p}10{n}", "Ann Lee", f"2020-0{p}-1{n}"] for p in (1, 2) for n in range(8)],
    ),
    "lines that only CRLF ends": (
        "id,note,n\r\n" + "".join(f"{n},one\ntwo {n},{n * n}\r\n" for n in range(9)),
        ["id", "note", "n"],
        [[str(n), f"one\ntwo {n}", str(n * n)] for n in range(9)],
    ),
    "many comments before": (
        "".join(f"# key{n}: value {n}, more; text | x\n" for n in range(90))
        + "id,n\n"
        + "".join(f"a{n},{n}\n" for n in range(9)),
        ["id", "n"],
        [[f"a{n}", str(n)] for n in range(9)],
    ),
    "groups of years": (
        ",,2019,,2020,\nCode,Area,Men,Women,Men,Women\n"
        + "".join(f"E{n},Area {n},{n}0,{n}1,{n}2,{n}3\n" for n in range(1, 9)),
        ["Code", "Area", "2019 Men", "2019 Women", "2020 Men", "2020 Women"],
        [[f"E{n}", f"Area {n}", *(f"{n}{d}" for d in range(4))] for n in range(1, 9)],
    ),
    "notes of several cells": (
        "Area,A,B\nN,1,2\nS,3,4\nE,5,6\n\nNotes:\n1. Rounded, see page 3.\n(c) Crown 2015\n",
        ["Area", "A", "B"],
        [["N", "1", "2"], ["S", "3", "4"], ["E", "5", "6"]],
    ),
    "a value and something more": (
        "id,name,born,sum\n"
        + "".join(f"{n},Ann B,2001-02-0{n},{n}.50{',extra' * (n == 4)}\n" for n in range(1, 9)),
        ["id", "name", "born", "sum", "coluna_5"],
        [
            [str(n), "Ann B", f"2001-02-0{n}", f"{n}.50", "extra" if n == 4 else ""]
            for n in range(1, 9)
        ],
    ),
    "one comment of as many cells": (
        "# made by a; v1, ok\nborn,paid\n" + "".join(f"2001-02-0{n},{n}.50\n" for n in range(1, 9)),
        ["born", "paid"],
        [[f"2001-02-0{n}", f"{n}.50"] for n in range(1, 9)],
    ),
    "addresses between circumflexes": (
        "day^mail\n" + "".join(f"0{n}/04/2007^ann{n}@mail.example\n" for n in range(1, 9)),
        ["day", "mail"],
        [[f"0{n}/04/2007", f"ann{n}@mail.example"] for n in range(1, 9)],
    ),
    "a source of two cells": (
        "day,cost\n"
        + "".join(f"0{n}/04/2007,{n}.10\n" for n in range(1, 9))
        + "\nSource: Office of Data, 2024\n",
        ["day", "cost"],
        [[f"0{n}/04/2007", f"{n}.10"] for n in range(1, 9)],
    ),
    "the header again without its last separator": (
        "".join("id;name;n\n" + "".join(f"{p}{n};Ann B;{n}5;\n" for n in range(8)) for p in (1, 2)),
        ["id", "name", "n"],
        [[f"{p}{n}", "Ann B", f"{n}5"] for p in (1, 2) for n in range(8)],
    ),
    "quotes that are text between tabs": (
        "id\ttext\tn\n" + "".join(f'{n}\t"so" called {n}\t{n}\n' for n in range(8)),
        ["id", "text", "n"],
        [[str(n), f'"so" called {n}', str(n)] for n in range(8)],
    ),
    "blanks after a quote": (
        "id,text,n\n" + "".join(f'{n},"a, b{n}" ,{n}\n' for n in range(8)),
        ["id", "text", "n"],
        [[str(n), f"a, b{n}", str(n)] for n in range(8)],
    ),
    "columns that nobody filled": (
        "a,,b,,c\n" + "".join(f"{n},,{n},,{n}\n" for n in range(6)),
        ["a", "", "b", "", "c"],
        [[str(n), "", str(n), "", str(n)] for n in range(6)],
    ),
    "separators that are escaped": (
        "a,b,c\n" + "".join(f"{n},x\\,y{n},z\n" for n in range(8)),
        ["a", "b", "c"],
        [[str(n), f"x,y{n}", "z"] for n in range(8)],
    ),
    "sentences above two columns of numbers": (
        "The release\n\nFigures, by year, of the area.\nContact: Jane Doe, Press\n\nyear,count\n"
        + "".join(f"20{n},{n}0\n" for n in range(10, 19)),
        ["year", "count"],
        [[f"20{n}", f"{n}0"] for n in range(10, 19)],
    ),
    "years under a title": (
        "Name,Results,\n,2019,2020\nAnn,1,2\nBob,4,5\nCid,7,8\n",
        ["Name", "Results 2019", "Results 2020"],
        [["Ann", "1", "2"], ["Bob", "4", "5"], ["Cid", "7", "8"]],
    ),
    "sentences in quotes": (
        "".join(["t,s\n", *(f'S {n},"We see X, Y and Z; so: a, b. {n}."\n' for n in range(8))]),
        ["t", "s"],
        [[f"S {n}", f"We see X, Y and Z; so: a, b. {n}."] for n in range(8)],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_files_as_they_are_published(name: str) -> None:
    text, header, rows = FILES[name]
    table = table_of(text.encode())
    assert (table.header, list(table.rows)) == (header, rows)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("Relatório\n\na;b\n1;2\n3;4\n", "1 linha antes do cabeçalho"),
        ("a;b;c\n1;2;3\n4;5;6\n\nFonte: IBGE\n", "rodapé"),
        ("a;b;c\n1;x;3\n4;y;6\n7;z;9\n1;w;2;5\n", "células de mais"),
        ('a;b\n1;"x\n2;"y"\n3;"z"\n', "aspas soltas"),
        ("a;b;c\n1;2;3\n4;5;6\n7;8;9\n\nd;e\n1;2\n3;4\n", "outra tabela"),
        ("a;b\n1;2;x\n3;4;y\n5;6;z\n", "2 títulos para 3 colunas"),
        ("1;2\n3;4\n", "não há cabeçalho"),
        ("abc\ndef ghi jkl\n", "uma coluna só"),
    ],
)
def test_what_is_not_plain_is_said(text: str, note: str) -> None:
    assert note in " ".join(table_of(text.encode()).notes)


def test_bytes_of_windows_in_a_text_of_utf8_are_read() -> None:
    data = b"nome;uf\n" + "José;SP\nJoão;RJ\nÍtalo;SP\nÊnio;SP\nAna;ÃÉ\n".encode()
    table = table_of(data + "Zoé;SP\n".encode("cp1252"))
    assert list(table.rows)[-1] == ["Zoé", "SP"]


@pytest.mark.parametrize("encoding", ["cp1252", "cp850", "mac_roman"])
@pytest.mark.parametrize(
    "text", ["Nome;Situação\nJosé;não há\n", "AÇÃO;SÃO JOÃO\nÉ;À VISTA\n", "Straße;Größe\n"]
)
def test_the_code_page_is_the_one_in_which_words_are_words(text: str, encoding: str) -> None:
    assert textlines.decode(text.encode(encoding))[0] == text


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp1250", "Wiśniewski;Łódź\nDąbrowska;Częstochowa\nŻak;Poznań"),
        ("cp852", "Příjmení;Obec\nDvořáková;Plzeň\nRůžička;Děčín"),
        ("cp1254", "Şükrü;İstanbul\nAyşe Yıldız;Eskişehir\nDoğan;Iğdır"),
        ("cp1251", "Фамилия;Город\nИванов;Москва\nПетрова;Казань"),
        ("koi8_r", "ФАМИЛИЯ;ГОРОД\nИВАНОВ;МОСКВА\nПЕТРОВА;КАЗАНЬ"),
        ("cp1253", "Όνομα;Πόλη\nΓιώργος;Αθήνα\nΕλένη;Ηράκλειο"),
        ("cp1255", "דוד לוי;תל אביב\nשרה כהן;ירושלים\nמשה פרץ;חיפה"),
        ("cp1256", "محمد علي;القاهرة\nفاطمة حسن;الرياض\nأحمد سالم;بغداد"),
        ("gb18030", "姓名;城市\n王小明;北京\n李华;上海市浦东新区\n张伟;广州"),
        ("big5", "姓名;城市\n王小明;臺北市\n李華;高雄\n張偉;臺中市西屯區"),
        ("cp932", "氏名;住所\n田中太郎;東京都\nヤマダ;福岡県\n高橋さくら;京都府"),
        ("cp949", "이름;주소\n김철수;서울특별시\n이영희;부산광역시\n박민수;대구"),
    ],
)
def test_letters_of_other_scripts_are_read_and_the_guess_is_told(encoding: str, names: str) -> None:
    table = table_of(names.encode(encoding))
    titled = [table.header] * (not table.header[0].startswith("coluna"))
    assert [*titled, *table.rows] == [line.split(";") for line in names.split("\n")]
    assert any(f"{encoding}" in note and "conferir" in note for note in table.notes)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_characters_without_a_mark_are_known_by_their_zeros(encoding: str) -> None:
    table = table_of("Код;Город\n1;Москва\n2;Казань\n3;Уфа\n".encode(encoding))
    assert (table.header, len(list(table.rows))) == (["Код", "Город"], 3)


def test_letters_of_a_mainframe_are_refused_by_name() -> None:
    with pytest.raises(FileRejected, match="EBCDIC"):
        table_of(("0001JOSE DA SILVA        000000123456" * 20).encode("cp037"))


def test_letters_that_are_words_nowhere_are_told() -> None:
    table = table_of(b"a;b\n" + b"1;x\xbfy\xd7w\n" * 6)
    assert any("formam palavras" in note for note in table.notes)


def test_lines_of_two_encodings_are_each_read_in_theirs() -> None:
    data = "José;São Paulo\n".encode("cp1252") + "José;São Paulo\n".encode()
    assert textlines.decode(data)[0] == "José;São Paulo\n" * 2


def test_signs_of_windows_are_no_letters_of_dos() -> None:
    text = "item;Amount £\nbulb;£10\nlamp – “big”;€ 9\n"
    assert textlines.decode(text.encode("cp1252")) == (text, "cp1252")


TITLES = {
    "DATE,TIME,Qty,PRODUCTID,Price,ProductType,URL": "2020-01-0{n},1{n}:00,{n},A-{n}{n}1,{n}.5,red box,http://x.y/{n}",
    "NM_CIDADE;SG_UF;NR_ZONA;DS_CARGO;QT_VOTOS": "Belo Lugar;SP;{n};vereador;{n}{n}",
    "sepal_length,sepal_width,petal_length,petal_width": "5.{n},3.{n},1.{n},0.{n}",
    "Código;Nome do Órgão;Data da Compra;Valor (R$);Loja": "A{n};Obras;0{n}/02/2021;{n},50;Sol",
}


@pytest.mark.parametrize("header", TITLES)
def test_titles_that_lost_their_separator_are_parted(header: str) -> None:
    mark = ";" if ";" in header else ","
    titles = header.split(mark)
    rows = "".join(TITLES[header].format(n=n) + "\n" for n in range(1, 9))
    for place in range(1, len(titles)):
        line = mark.join(titles[:place]) + mark.join(titles[place:])
        table = table_of(f"{line}\n{rows}".encode())
        assert table.header == titles
        assert any("cabeçalho" in note for note in table.notes)
    for missing in (titles[1:], titles[:-1]):  # no separator is gone: nothing is parted
        assert set(missing) <= set(table_of(f"{mark.join(missing)}\n{rows}".encode()).header)


def test_a_large_file_gives_the_same_as_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    table = clean_tables(3)["orders"]
    for _, data, _ in pollutions(table, 3):
        small = table_of(data)
        with monkeypatch.context() as patch:
            patch.setattr(detected, "SMALL_BYTES", 0)
            large = table_of(data)
        assert (large.header, list(large.rows)) == (small.header, list(small.rows))


def test_an_endless_line_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textlines, "MAX_LINE_CHARS", 1000)
    with pytest.raises(DataError, match="mais de 1000 caracteres"):
        table_of(b"a;b\n" + b"x" * 5000)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "data",
    [
        b'"' * 300_000,
        b'",' * 100_000,
        b"a,b,c\n" + b'1,"x,3\n' * 20_000,
        b"a,b,c\n" + b"1 2 3 4 5 6 7 8 9\n" * 20_000,
        b"a,b,c\n" + b"1,2,3\n" * 50 + b"1,2,3,4\n1,2\n" * 10_000,
        b"\x00" * 300_000,
        b"\n" * 300_000,
        b"," * 300_000,
        b"a " * 150_000,
    ],
)
def test_a_hostile_file_ends_in_bounded_time(data: bytes) -> None:
    with contextlib.suppress(FileRejected):
        to_csv(table_of(data), io.BytesIO())


@given(
    text=st.lists(
        st.text(alphabet="ab1 2.;,\t|\"'\\:-/=#", max_size=30), min_size=1, max_size=14
    ).map("\n".join)
)
@QUIET
def test_no_letter_or_digit_is_lost_untold(text: str) -> None:
    table = table_of(text.encode())
    rows = list(table.rows)
    assert all(len(row) == len(table.header) for row in rows)
    notes = " ".join(table.notes)
    if "fora da tabela" in notes or "ficou de fora" in notes or "foram unidos" in notes:
        return
    titles = [title for title in table.header if not title.startswith("coluna_")]
    kept = Counter("".join(titles) + "".join("".join(row) for row in rows))
    signs = string.ascii_letters + string.digits
    assert {sign: text.count(sign) for sign in signs} == {sign: kept[sign] for sign in signs}


@given(data=st.binary(max_size=600))
@QUIET
def test_any_bytes_end_in_a_table_that_can_be_written(data: bytes) -> None:
    with contextlib.suppress(FileRejected):
        to_csv(table_of(data), io.BytesIO())


def test_fixed_columns_found_in_short_values_hold_longer_ones() -> None:
    rows = [(str(n), f"name {n % 7}", str(n**3)) for n in range(1500)]
    text = "".join(f"{a:<8}  {b:<10}  {c:>12}\n" for a, b, c in rows)
    assert [tuple(row) for row in table_of(text.encode()).rows] == rows


def test_lines_that_fit_nowhere_all_over_a_file_are_no_footer() -> None:
    text = "a;b;c\n" + "1;2;3\n4;5;6\nx y\n" * 60 + "note\n"
    table = table_of(text.encode())
    assert list(table.rows)[-1] == ["note", "", ""]


def test_a_file_is_read_as_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"a;b\n1;2\n")
    table = detected.table_in(path)
    assert (table.header, list(table.rows)) == (["a", "b"], [["1", "2"]])
