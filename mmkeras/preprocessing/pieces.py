"""The bytes that each id of a tokenizer stands for: what a graph or a small machine joins to sentences."""

import re

# Byte-pair vocabularies write these bytes as the characters of their numbers, and all others as ones from 256 on.
_PLAIN = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def pieces_of(tokenizer, kind, num_ids):
    """Bytes of each id of a keras-hub tokenizer, spaces included; a sentence is its pieces, joined and stripped.

    Args:
        tokenizer: the tokenizer.
        kind: one of `"word_piece"`, `"byte_pair"`, `"clip"`, `"sentence_piece"`, `"byte"` and `"code_point"`.
        num_ids: how many ids it has.
    """
    if kind == "byte":
        return [bytes([index]) for index in range(num_ids)]
    if kind == "code_point":
        # The bytes of surrogates are none.
        return [chr(index).encode("utf-8", "ignore") for index in range(num_ids)]
    if kind in ("byte_pair", "clip"):
        return _byte_pairs(tokenizer, kind == "clip", num_ids)
    tokens = [tokenizer.id_to_token(index) for index in range(num_ids)]
    if kind == "word_piece":
        mark = tokenizer.suffix_indicator
        return [(token[len(mark) :] if token.startswith(mark) else " " + token).encode() for token in tokens]
    # What SentencePiece says for what no piece covers, whose id that of a piece that cannot exist is.
    tokens[tokenizer.token_to_id("\0")] = " \u2047 "
    found = [_BYTE.fullmatch(token) for token in tokens]
    return [
        bytes([int(byte[1], 16)]) if byte else token.replace("\u2581", " ").encode()
        for token, byte in zip(tokens, found, strict=True)
    ]


def _byte_pairs(tokenizer, ends_words, num_ids):
    others = [code for code in range(256) if code not in _PLAIN]
    byte_of = {chr(code): code for code in _PLAIN} | {chr(256 + place): code for place, code in enumerate(others)}
    pieces = [b""] * num_ids
    for token, index in tokenizer.vocabulary.items():
        word = token.removesuffix("</w>") if ends_words else token
        known = all(character in byte_of for character in word)
        piece = bytes(byte_of[character] for character in word) if known else word.encode()
        pieces[index] = piece + b" " if word != token else piece
    return pieces
