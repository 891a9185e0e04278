"""Networks to compare with those of `compliance.model`, which knows them by name."""

from typing import TYPE_CHECKING

from compliance.vocabulary import PADDING

if TYPE_CHECKING:
    import keras

WORD, PAIR = 32, 16  # numbers that stand for a word, and for a pair of neighbours
BUCKETS = 2**16  # pairs share so many places
SPREAD = 7_919  # prime, so that pairs with the same second word lie far apart


def bag_of_ngrams(words: int, tokens: int) -> "keras.Model":
    """Build a network that adds up its words and pairs of neighbours, wherever they stand (after fastText).

    Pairs are hashed into a table of fixed size, by the arithmetic that is exported with the network (A. Joulin et al.,
    Bag of Tricks for Efficient Text Classification, 2016, arXiv:1607.01759). Sums are taken where fastText takes means:
    one forbidden word decides, however long the text.
    """
    import keras
    from keras import layers, ops

    numbers = keras.Input((tokens,), dtype="int32", name="tokens")
    known = ops.expand_dims(ops.cast(ops.not_equal(numbers, PADDING), "float32"), -1)
    following = layers.ZeroPadding1D((0, 1), name="moved")(ops.expand_dims(numbers, -1))
    pairs = ops.mod(ops.mod(numbers, BUCKETS) * SPREAD + ops.squeeze(following, -1)[:, 1:], BUCKETS)
    vectors = layers.Concatenate(name="ngrams")(
        [layers.Embedding(words, WORD, name="embedding")(numbers), layers.Embedding(BUCKETS, PAIR, name="pairs")(pairs)]
    )
    total = ops.sum(vectors * known, axis=1)
    score = layers.Dense(1, activation="sigmoid", name="score")(layers.Dropout(0.2, name="dropout")(total))
    return keras.Model(numbers, score, name="bag_of_ngrams")
