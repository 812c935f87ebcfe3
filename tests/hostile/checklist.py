"""The checklist that the rows come from: section and number of each, and which are no files.

What happens while a checkpoint is open, and what several processes do, no file can say: those
rows are tests, named here.
"""

from __future__ import annotations

NUMBERS = {
    "A": "1 2 4 5 7 8 10 11 13 14 16 17 19 20 22 23 25 26 28 29 31 32 34 35 37 38 40 41 43 44"
    " 46 47 49 50 52 53 55 56 58",
    "B": "59 61 62 64 65 67 68 70 71 73 74",
    "C": "76 77 79 80 82 83 85 86 88 89 91 92 94 95 97 98 100 101 103 104 106 107 109 110 112"
    " 113 115 116 118 119 121",
    "D": "122 124 125 127 128 130 131 133 134 136 137 139 140",
    "E": "142 143 145 146 148 149 151 152 154 155",
    "F": "157 158 160 161 163 164 166 167 169 170",
    "G": "172 173 175 176",
    "H": "178 179 181 182 184 185 187 188 190 191 193",
    "I": "194 196 197 199 200 202",
}
ROWS = [
    f"{letter}{int(n):03d}" for letter, all_of_it in NUMBERS.items() for n in all_of_it.split()
]

# Why a row is no file, and the test that shows what it wants.
NO_FILES = {
    "D136": (
        "the file is cut short while it is open",
        "tests/python/hostile/test_truncation.py",
        "test_a_data_file_cut_short_under_an_open_bundle",
    ),
    "D137": (
        "the file is replaced while it is open",
        "tests/python/hostile/test_truncation.py",
        "test_a_data_file_replaced_by_another_keeps_its_old_content",
    ),
    "D139": (
        "a system call fails",
        "tests/cpp/engine/reader_test.cc",
        "AReadErrorNamesTheTensorAndEndsTheLoad",
    ),
    "I194": (
        "several checkpoints are merged",
        "tests/python/test_merging.py",
        "test_missing_checkpoints_are_refused_or_passed_over",
    ),
    "I196": (
        "several checkpoints are merged",
        "tests/cpp/engine/entry_merge_test.cc",
        "PartsThatDisagreeAreRefused",
    ),
    "I197": (
        "a process dies, and nobody waits for it: a merge refuses what it did not finish",
        "tests/python/test_merging.py",
        "test_one_bad_checkpoint_of_many_leaves_all_as_they_were",
    ),
    "I199": (
        "memory changes during a save",
        "tests/python/test_async_saving.py",
        "test_tensors_may_change_while_they_are_being_written",
    ),
    "I200": (
        "the interpreter ends during a save",
        "tests/python/test_async_saving.py",
        "test_the_interpreters_exit_waits_for_the_save",
    ),
    "I202": (
        "nothing is downloaded by this library: a file that came short is row D124",
        "tests/hostile/data_rows.py",
        "D124",
    ),
}
