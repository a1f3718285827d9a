"""Everyday words of distillation."""

from wordmask.components.everyday_words import EVERYDAY_NOUNS, draw_words
from wordmask.training.forgetting.vocabulary import EVERYDAY, FAR_AWAY


def test_no_word_is_asked_by_the_forgetting_probe():
    assert len(EVERYDAY_NOUNS) == len(set(EVERYDAY_NOUNS)) > 200
    assert all(word == " ".join(word.split()) and word for word in EVERYDAY_NOUNS)
    assert not set(EVERYDAY_NOUNS) & {*EVERYDAY, *FAR_AWAY}


def test_words_depend_on_image_and_step_alone():
    drawn = draw_words(EVERYDAY_NOUNS, 8, key="a.jpg", step=3)
    assert drawn == draw_words(EVERYDAY_NOUNS, 8, key="a.jpg", step=3)
    assert drawn != draw_words(EVERYDAY_NOUNS, 8, key="b.jpg", step=3)
    assert drawn != draw_words(EVERYDAY_NOUNS, 8, key="a.jpg", step=4)
    assert set(draw_words(("one", "two"), 50, key="a", step=0)) == {"one", "two"}
