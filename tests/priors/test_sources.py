"""What every row of `SOURCES` keeps, and what each says."""

import hashlib
import re
from functools import lru_cache
from importlib import resources

import pytest

from pertura.core.errors import UsageError
from pertura.genes.identifiers import human_identifiers
from pertura.priors.build import encoder_for
from pertura.priors.sources import SOURCES, knowledge_of
from pertura.priors.sources.ontology import edges_of_processes, terms

pytestmark = pytest.mark.slow  # reads all bundled texts

BUNDLED = resources.files("pertura.priors").joinpath("bundled")
TEXTS = ("ncbi", "uniprot", "ncbi+uniprot")
BRANCHES = ("go-f", "go-p", "go-c")


@lru_cache
def known(source, term_limit=500):
    return knowledge_of(source, term_limit=term_limit)


def parts_of(source, gene):
    knowledge = known(source)
    return knowledge.parts[knowledge.genes.index(gene)]


@pytest.fixture(params=SOURCES)
def knowledge(request):
    return known(request.param)


@pytest.mark.slow
def test_a_source_covers_thousands_of_genes_in_order_and_each_has_something_said(knowledge):
    assert len(knowledge.genes) > 4_000
    assert list(knowledge.genes) == sorted(set(knowledge.genes))
    assert all(text.strip() for text in knowledge.texts)


def test_a_source_names_itself_its_licence_and_what_it_left_out(knowledge):
    assert SOURCES[knowledge.name].description
    assert len(knowledge.licence) > 10
    assert all(count > 0 for count in knowledge.dropped.values())


def test_names_are_approved_where_there_is_one(knowledge):
    human = human_identifiers()
    older = [gene for gene in knowledge.genes if human.approved(gene).symbol not in (gene, None)]
    assert older == []
    assert sum(gene in human.symbols for gene in knowledge.genes) > 0.97 * len(knowledge.genes)


@pytest.mark.slow
def test_reading_twice_gives_the_same_words(knowledge):
    assert knowledge_of(knowledge.name).sha256 == knowledge.sha256


@pytest.mark.slow
@pytest.mark.parametrize("source", TEXTS)
def test_texts_hold_no_credits_paper_numbers_or_cut_off_ends(source):
    marks = re.compile(r"\[provided by|PubMed:|PMID|\[\.\.\.\]|\{ECO|annotation not|By similarity|RefSeq represents")
    assert [text for text in known(source).texts if marks.search(text)] == []


def test_protein_text_is_named_as_what_it_stands_in_for():
    for source in ("uniprot", "ncbi+uniprot"):
        assert any("STRING v12" in note and "stands in" in note for note in known(source).notes)
    assert "STRING" in known("uniprot").licence


def test_proteins_without_a_gene_are_left_out_and_counted_but_genes_with_a_dash_stay():
    genes = known("uniprot").genes
    assert not [gene for gene in genes if gene.startswith("ENSP") or gene.endswith("_HUMAN")]
    assert {"NKX2-5", "HLA-A"} <= set(genes)
    assert known("uniprot").dropped["name of a protein, not of a gene"] > 100


def test_two_texts_of_a_gene_follow_one_another():
    assert parts_of("ncbi+uniprot", "KLF1") == (*parts_of("ncbi", "KLF1"), *parts_of("uniprot", "KLF1"))
    assert set(known("ncbi+uniprot").genes) == set(known("ncbi").genes) | set(known("uniprot").genes)


def test_a_symbol_of_several_entrez_genes_has_the_text_of_the_oldest_record():
    assert "salivary" in parts_of("ncbi", "AMY1B")[0]
    assert "produced by the pancreas" not in parts_of("ncbi", "AMY1B")[0]


@pytest.mark.parametrize("source", [*BRANCHES, "go-all"])
def test_terms_come_rarest_first_and_general_ones_are_left_out(source):
    branch_of = {"go-f": "F", "go-p": "P", "go-c": "C"}
    order = {(term.branch, term.name): (term.spread, term.id) for term in terms()}
    knowledge = known(source)
    for gene in knowledge.genes[::500]:
        parts = parts_of(source, gene)
        if source in branch_of:
            ranks = [order[branch_of[source], part] for part in parts]
            assert ranks == sorted(ranks)
            assert all(spread <= 500 for spread, _ in ranks)
    assert knowledge.dropped["term of more than 500 genes"] > 80


def test_all_branches_are_function_then_process_then_component():
    gene = "CDK1"
    assert parts_of("go-all", gene) == tuple(part for source in BRANCHES for part in parts_of(source, gene))


def test_the_limit_of_a_term_can_be_chosen():
    assert set(known("go-c", 100).genes) < set(known("go-c", 500).genes) < set(known("go-c", 100_000).genes)
    assert not known("go-c", 100_000).dropped
    with pytest.raises(UsageError, match="leaves no term"):
        knowledge_of("go-c", term_limit=0)


def test_a_process_counts_the_genes_of_the_processes_below_it():
    by_id = {term.id: term for term in terms()}
    for child, relation, parent in edges_of_processes():
        if relation in ("is_a", "part_of") and child in by_id and parent in by_id:
            assert by_id[parent].spread >= by_id[child].spread
    assert all(term.spread >= len(term.genes) for term in terms())
    assert all(term.spread == len(term.genes) for term in terms() if term.branch != "P")
    assert next(term for term in terms() if term.name == "chromatin organization").spread > 500


def test_a_term_has_the_genes_biology_knows():
    spliceosome = next(term for term in terms() if term.name == "proteasome core complex")
    assert {"PSMA1", "PSMB5"} <= set(spliceosome.genes)
    assert spliceosome.branch == "C"


def test_sequences_are_of_amino_acids_and_their_number_is_said():
    proteins = known("protein")
    assert len(proteins.genes) > 4_000
    assert all(re.fullmatch(r"[ACDEFGHIKLMNPQRSTUVWXY]+", text) for text in proteins.texts)
    assert any("4,036" in note for note in proteins.notes)


def test_a_text_encoder_does_not_read_proteins_nor_the_other_way_round():
    with pytest.raises(UsageError, match="protein sequences"):
        encoder_for(known("protein"), "sentence-transformers:NAME")
    with pytest.raises(UsageError, match="holds texts"):
        encoder_for(known("go-c"), "esm2:NAME")


def test_bundled_files_are_those_their_source_describes_and_small():
    described = BUNDLED.joinpath("SOURCE.txt").read_text()
    tables = [one for one in BUNDLED.iterdir() if one.name.endswith(".gz")]
    assert len(tables) == 5
    for table in tables:
        assert table.name in described
        assert hashlib.sha256(table.read_bytes()).hexdigest() in described
    assert sum(len(table.read_bytes()) for table in tables) < 9_000_000


def test_the_bundled_names_are_those_their_source_describes():
    folder = resources.files("pertura.genes").joinpath("bundled")
    content = folder.joinpath("human_identifiers.tsv.gz").read_bytes()
    assert hashlib.sha256(content).hexdigest() in folder.joinpath("SOURCE.txt").read_text()
    assert len(content) < 1_000_000
