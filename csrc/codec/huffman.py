"""Prints huffman_tbl.h: ``python csrc/codec/huffman.py > csrc/codec/huffman_tbl.h``, or ``make tables``.

The code of RFC 7541, appendix B, is canonical: codes go up by length, and among equals by symbol. So the lengths say it
all.
"""

from __future__ import annotations

#: Bits of each byte's code and, last, of EOS.
LENGTHS = (
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26, 30,
)  # fmt: skip
EOS = 256
LOOK = 12  # bits that the first look takes: two of the short codes mostly


def codes() -> list[int]:
    """The code of each symbol."""
    out, code, length = [0] * len(LENGTHS), 0, 0
    for symbol in ordered():
        code <<= LENGTHS[symbol] - length
        length = LENGTHS[symbol]
        out[symbol] = code
        code += 1
    return out


def ordered() -> list[int]:
    """All symbols by their codes."""
    return sorted(range(len(LENGTHS)), key=lambda symbol: (LENGTHS[symbol], symbol))


def looks() -> list[tuple[int, int, int, int, int]]:
    """Of each LOOK bits: two symbols, bits of both, bits of the first, and how many symbols they are."""
    code = codes()
    short = [s for s in range(EOS) if LENGTHS[s] <= LOOK]

    def first(bits: int, room: int) -> int | None:
        return next((s for s in short if LENGTHS[s] <= room and bits >> (room - LENGTHS[s]) == code[s]), None)

    out = []
    for bits in range(1 << LOOK):
        one = first(bits, LOOK)
        if one is None:
            out.append((0, 0, 0, 0, 0))
            continue
        left = LOOK - LENGTHS[one]
        two = first(bits & ((1 << left) - 1), left)
        both = LENGTHS[one] + (LENGTHS[two] if two is not None else 0)
        out.append((one, two or 0, both, LENGTHS[one], 1 if two is None else 2))
    return out


def rows(items: list[str], width: int) -> str:
    return "\n".join("    " + " ".join(items[i : i + width]) for i in range(0, len(items), width))


def main() -> None:
    code = codes()
    print("/* Written by huffman.py beside it: the Huffman code of RFC 7541, appendix B. */")
    print(f"enum {{ HUFFMAN_LOOK = {LOOK}, HUFFMAN_EOS = {EOS} }};\n")
    print("/* Code and its length, by symbol. */")
    print("static const struct huffman_code { uint32_t code; uint8_t bits; } huffman_codes[] = {")
    print(rows([f"{{0x{code[s]:x}, {LENGTHS[s]}}}," for s in range(len(LENGTHS))], 6))
    print("};\n")
    long = [s for s in ordered() if LENGTHS[s] > LOOK]
    print("/* Longer codes by length: the first that is longer still, at the left of 32 bits, and what to add to a")
    print(" * code to have its place in huffman_long. */")
    print("static const struct huffman_length { uint32_t below; int32_t add; uint8_t bits; } huffman_lengths[] = {")
    for length in sorted({LENGTHS[s] for s in long}):
        of = [s for s in long if LENGTHS[s] == length]
        below = min(0xFFFFFFFF, (code[of[-1]] + 1) << (32 - length))
        print(f"    {{0x{below:08x}, {long.index(of[0]) - code[of[0]]}, {length}}},")
    print("};")
    print("static const uint16_t huffman_long[] = {")
    print(rows([f"{s}," for s in long], 20))
    print("};\n")
    print("/* By the next bits: how many symbols they are (0: a longer code), bits of the first, the two, of both. */")
    print("#define LOOK(n, first, two, one, both) \\")
    print("    ((uint32_t)(n) << 28 | (first) << 24 | (two) << 16 | (one) << 8 | (both))")
    print("static const uint32_t huffman_looks[] = {")
    print(rows([f"LOOK({n}, {first}, {two}, {one}, {both})," for one, two, both, first, n in looks()], 4))
    print("};")
    print("#undef LOOK")


if __name__ == "__main__":
    main()
