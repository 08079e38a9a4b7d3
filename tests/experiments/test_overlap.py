from hypothesis import given
from hypothesis import strategies as st

from experiments.overlap import SETTINGS, Setting, find_answer, predict
from longspan.tasks.examples import QuestionExample, Source

ARTICLE = (
    "The river rises in the hills. It was surveyed by Anna Lund in 1874 for the crown.\n\n"
    "Its bridge was built of oak. The mill on the river was sold to a baker."
)


def test_the_sentence_is_the_one_that_shares_most():
    found = find_answer("Who surveyed the river for the crown?", ARTICLE, Setting("sentence"))
    assert found == "It was surveyed by Anna Lund in 1874 for the crown"


def test_a_name_of_that_sentence_is_the_answer():
    assert find_answer("Who surveyed it for the crown, and in what year?", ARTICLE, Setting("names", 2)) == "1874"
    assert find_answer("By whom was it surveyed?", ARTICLE, Setting("names", 2)) == "Anna Lund"


def test_runs_are_words_that_the_question_lacks():
    assert find_answer("What was the bridge built of?", ARTICLE, Setting("runs", 2)) == "oak"


@given(st.text(max_size=40), st.text(max_size=120), st.sampled_from(SETTINGS))
def test_an_answer_stands_in_the_document_and_is_no_longer_than_allowed(question, text, setting):
    answer = find_answer(question, text, setting)
    assert answer in text


def test_predictions_carry_the_questions_ids():
    asked = [QuestionExample(str(i), Source("here"), f"What is {i}?", ARTICLE) for i in range(3)]
    assert [row["id"] for row in predict(asked, SETTINGS[0])] == ["0", "1", "2"]
