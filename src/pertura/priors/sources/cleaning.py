"""What is no knowledge in a text about a gene: credits, numbers of papers, and phrases that stand in every text."""

import re

CREDITS = (
    re.compile(r"\[(?:provided|supplied) by [^\]]*\]", re.IGNORECASE),
    re.compile(r"(?:Publication|Sequence) Note:.*", re.DOTALL),
    re.compile(r"##\S+-START##.*?(?:##\S+-END##|$)", re.DOTALL),
    re.compile(r"\{ECO:[^}]*\}\.?"),
    re.compile(r"\[(?:MIM|OMIM|PubMed|PMID|HGNC|GeneID)[ :]?\d+\]", re.IGNORECASE),
    re.compile(r"\((?:summary by|supplied by) [^()]*(?:\([^()]*\)[^()]*)*\)", re.IGNORECASE),
    re.compile(r"\((?:PubMed|PMID)s?[: ][^()]*\)", re.IGNORECASE),
    re.compile(r"[;,]?\s*(?:PubMed|PMID)s?:? ?\d+(?:, ?(?:(?:PubMed|PMID):? ?)?\d+)*", re.IGNORECASE),
    re.compile(r"\((?:By similarity|Probable|Potential|Microbial infection)\)", re.IGNORECASE),
)
CUT_OFF = re.compile(r"(?:\S*\s+)?\[\.\.\.\]\s*$")
"""A text that was shortened ends in a piece of a word and three dots."""

BROKEN_LINE = re.compile(r"(?<=\w)- (?!and\b|or\b|to\b)(?=\w)")
"""`gene- specific`: a line once ended there. `pre- and post-` is meant as it stands."""

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\[])")
BOILERPLATE = (
    re.compile(r"(?:Mult|Sever|Many|Vari|Add|Other|Some|At least|Alter|Diff|One|Two|Three|Four|Five|Six|Seven|Eight)"),
    re.compile(r"\b(?:transcript|splice|spliced|splicing|alternatively)\b", re.IGNORECASE),
    re.compile(r"\b(?:variants?|isoforms?|products)\b"),
)
"""A sentence in which all of these are found, the first at its start, only says that there are splice variants."""

ABOUT_THE_RECORD = (
    "The RefSeq represents ",
    "This RefSeq record ",
    "This record represents ",
    "The nomenclature assigned to ",
)
"""How sentences begin that are about the data base, not about the gene."""

NOTHING_SAID = re.compile(
    r"(?:annotation not available|(?:putative )?uncharacterized protein[^;]*|novel protein[^;]*|\w+ protein)?[.;\s]*",
    re.IGNORECASE,
)


def cleaned(text: str) -> str:
    """Return a text without credits, paper numbers, cut-off ends and boilerplate; empty where nothing is left."""
    for pattern in CREDITS:
        text = pattern.sub(" ", text)
    text = BROKEN_LINE.sub("-", CUT_OFF.sub("", text))
    text = " ".join(one for one in SENTENCE_END.split(text) if not _is_boilerplate(one))
    text = re.sub(r"\s+([.,;:)])", r"\1", " ".join(text.split()))
    text = re.sub(r"([.;])(?:\s*[.;])+", r"\1", text).strip(" ;,")
    return "" if NOTHING_SAID.fullmatch(text) else text


def _is_boilerplate(sentence: str) -> bool:
    opening, *rest = BOILERPLATE
    if sentence.startswith(ABOUT_THE_RECORD):
        return True
    return bool(opening.match(sentence)) and all(pattern.search(sentence) for pattern in rest)
