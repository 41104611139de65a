"""Evidence from the kernel: what is asked, what is refused to be handed on, what is left behind."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from atlas.errors import EvidenceError
from atlas.evidence.providers.tdx import TdxProvider, read_rtmrs
from atlas.evidence.simulator.td import UnsafeSimulatedTd
from atlas.evidence.simulator.tsm import UnsafeSimulatedTsm, UnsafeSimulatedTsmFault
from atlas.evidence.tdx.eventlog import parse_event_log
from atlas.evidence.tdx.quote import parse_quote
from atlas.evidence.tdx.replay import check_replay
from unit.evidence.evidence_support import platform
from unit.evidence.provider_support import DATA, RAW, TD, Tsm, holds, why


def test_tdx(tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform(), TD)
    provider = tsm.provider()
    for data in (RAW, DATA):
        given = provider.attest(data)
        holds(given, data)
        assert given.gpu == ()
        assert given.event_log is not None
        assert len(given.event_log) < tsm.event_log.stat().st_size - 60_000  # without the padding
        assert list(tsm.reports.iterdir()) == []
    assert read_rtmrs(tsm.measurements) == TD.registers


def test_tdx_asks_once_and_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    write = os.write

    def spy(descriptor: int, data: bytes) -> int:
        written.append(bytes(data))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", spy)
    UnsafeSimulatedTsm(tmp_path, platform()).provider().attest(RAW)

    assert written == [RAW]


def test_tdx_asks_in_a_folder_of_its_own_each_time(tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform())
    made: list[Path] = []

    def make(entry: Path) -> None:
        made.append(entry)
        tsm.make(entry)

    provider = TdxProvider(tsm.reports, tsm.event_log, make, tsm.remove)
    for _ in range(3):
        provider.attest(RAW)

    assert len(set(made)) == 3
    assert {each.parent for each in made} == {tsm.reports}


TDX_FAULTS = {
    Tsm.ABSENT: "no quote can be asked for here: No such file or directory",
    Tsm.BUSY: "no quote can be asked for here: Device or resource busy",
    Tsm.OTHER_KERNEL: "this machine gives evidence of 'sev_guest', not of 'tdx_guest'",
    Tsm.RACED: "its generation is '2', not '1'",
    Tsm.OTHER_DATA: "the quote carries other report data than it was asked for with",
    Tsm.SHORT: "what came is not a quote: the quote is malformed: it ends in its signature",
    Tsm.NO_HOST: "the kernel gave no quote: Input/output error",
}


@pytest.mark.parametrize("fault", Tsm)
def test_tdx_faults(fault: UnsafeSimulatedTsmFault, tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform(), fault=fault)
    threads = threading.active_count()

    assert TDX_FAULTS[fault] in why(tsm.provider(), RAW)
    assert not tsm.reports.exists() or list(tsm.reports.iterdir()) == []
    assert threading.active_count() == threads


def test_each_fault_has_words_and_a_mend_of_its_own(tmp_path: Path) -> None:
    mends = {}
    for number, fault in enumerate((Tsm.ABSENT, Tsm.BUSY, Tsm.OTHER_KERNEL, Tsm.RACED, Tsm.OTHER_DATA, Tsm.NO_HOST)):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(EvidenceError) as caught:
            UnsafeSimulatedTsm(tmp_path / str(number), platform(), fault=fault).provider().attest(RAW)
        mends[fault] = caught.value.mend

    assert len(set(mends.values())) == len(mends)
    assert len(set(TDX_FAULTS.values())) == len(Tsm) == len(TDX_FAULTS)


def folder(tmp_path: Path, **files: str) -> TdxProvider:
    """A provider for a folder of plain files: no kernel answers there."""

    def make(entry: Path) -> None:
        entry.mkdir()
        for name, text in files.items():
            (entry / name).write_text(text, encoding="ascii")

    (tmp_path / "report").mkdir()
    return TdxProvider(tmp_path / "report", tmp_path / "none", make, shutil.rmtree)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "the kernel gave no quote: No such file or directory"),
        ({"provider": ""}, "gives evidence of ''"),
        ({"provider": "tdx_guest\n"}, "the kernel gave no quote: No such file or directory"),
        ({"provider": "tdx_guest\n", "inblob": "", "outblob": ""}, "No such file or directory"),
        ({"provider": "tdx_guest\n", "inblob": "", "outblob": "", "generation": "0\n"}, "its generation is '0'"),
        ({"provider": "tdx_guest\n", "inblob": "", "outblob": "", "generation": "one\n"}, "its generation is 'one'"),
        ({"provider": "tdx_guest\n", "inblob": "", "outblob": "", "generation": "1\n"}, "it ends in its header"),
        (
            {"provider": "tdx_guest\n", "inblob": "", "outblob": "q" * 70_000, "generation": "1\n"},
            "a quote has at most 65536",
        ),
    ],
    ids=["nothing", "nameless", "no inblob", "no generation", "unasked", "no number", "empty", "huge"],
)
def test_tdx_where_no_kernel_answers(files: dict[str, str], words: str, tmp_path: Path) -> None:
    assert words in why(folder(tmp_path, **files), RAW)
    assert list((tmp_path / "report").iterdir()) == []


def test_tdx_a_write_that_is_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda descriptor, data: 63)

    assert "took 63 of 64 bytes" in why(folder(tmp_path, provider="tdx_guest", inblob=""), RAW)
    assert list((tmp_path / "report").iterdir()) == []


def test_tdx_where_this_user_may_not_ask(tmp_path: Path) -> None:
    def make(entry: Path) -> None:
        raise PermissionError(13, "Permission denied", str(entry))

    with pytest.raises(EvidenceError, match="Permission denied") as caught:
        TdxProvider(tmp_path, make=make).attest(RAW)
    assert "usually root" in caught.value.mend


def test_tdx_a_folder_that_cannot_be_removed_harms_nothing(tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform(), TD)

    def remove(entry: Path) -> None:
        tsm.remove(entry)
        raise OSError(16, "Device or resource busy")

    holds(TdxProvider(tsm.reports, tsm.event_log, tsm.make, remove).attest(RAW), RAW)


def test_tdx_removes_its_folder_when_it_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform())

    def interrupted(descriptor: int, data: bytes) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tsm.provider().attest(RAW)
    assert list(tsm.reports.iterdir()) == []


def test_tdx_on_this_machine() -> None:
    """The kernel's own folders, whatever they hold here."""
    if Path("/sys/kernel/config/tsm/report").exists():
        pytest.skip("NOT TESTED: this machine has configfs-tsm")
    assert "/sys/kernel/config/tsm/report: no quote can be asked for here" in why(TdxProvider())
    assert read_rtmrs() is None


# ------------------------------------------------------------------------------------------------ tdx: event log


def test_there_need_not_be_an_event_log(tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform())
    tsm.event_log.unlink()

    assert tsm.provider().attest(RAW).event_log is None


def test_an_event_log_that_cannot_be_read_is_not_left_out(tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform())
    tsm.event_log.unlink()
    tsm.event_log.mkdir()

    assert "the event log cannot be read: Is a directory" in why(tsm.provider())


def logged(tmp_path: Path, content: bytes) -> bytes | None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform())
    tsm.event_log.write_bytes(content)
    return tsm.provider().attest(RAW).event_log


@pytest.mark.parametrize("pad", [b"\xff", b"\0"])
@pytest.mark.parametrize("tail", [0, 1, 8, 64, 65, 500])
def test_padding_is_cut_and_no_event_is(pad: bytes, tail: int, tmp_path: Path) -> None:
    from atlas.evidence.simulator.td import UnsafeSimulatedEvent

    log = UnsafeSimulatedTd().extended(UnsafeSimulatedEvent(2, b"data" + pad * tail)).event_log[:-8]
    kept = logged(tmp_path, log + pad * 4096)

    assert kept is not None
    assert parse_event_log(kept) == parse_event_log(log + pad * 8)
    assert (len(kept) < len(log) + 80) == (tail <= 64)


@pytest.mark.parametrize("content", [b"", b"no log", UnsafeSimulatedTd().event_log[:-9]])
def test_a_log_that_cannot_be_read_is_handed_on_as_it_is(content: bytes, tmp_path: Path) -> None:
    assert logged(tmp_path, content) == content


def test_a_log_too_large_for_a_manifest_is_refused(tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform())
    tsm.event_log.write_bytes(b"x" * (1 << 20))

    assert "a manifest takes at most" in why(tsm.provider())
    assert list(tsm.reports.iterdir()) == []


def test_the_log_of_a_real_machine(real_data: Path, tmp_path: Path) -> None:
    google = real_data / "tdx" / "go-tdx-guest"
    raw = (google / "ccel_data.dat").read_bytes()
    kept = logged(tmp_path, raw)

    assert kept is not None
    assert len(kept) < len(raw) // 5
    rtmrs = parse_quote((google / "cos-113-tdx-quote.dat").read_bytes()).report.rtmrs
    check_replay(parse_event_log(kept), rtmrs)


def test_quotes_of_real_machines(real_data: Path, tmp_path: Path) -> None:
    """The padding that kernels and hosts leave behind a quote goes, and nothing else."""
    from atlas.evidence.providers.answer import attested

    found = 0
    for path in ("phala/tdx_quote", "go-tdx-guest/cos-113-tdx-quote.dat", "go-tdx-guest/quote_v5_sample.dat"):
        raw = (real_data / "tdx" / path).read_bytes()
        quote = parse_quote(raw)
        assert attested(raw, quote.report.report_data, None).quote == quote.raw
        assert attested(raw + bytes(3000), quote.report.report_data, None).quote == quote.raw
        with pytest.raises(EvidenceError, match="other report data"):
            attested(raw, RAW, None)
        found += 1
    assert found == 3
    with pytest.raises(EvidenceError, match="not a quote"):
        attested((real_data / "tdx" / "phala" / "sgx_quote").read_bytes(), RAW, None)


# ------------------------------------------------------------------------------------------------ tdx: registers


def test_a_quote_of_another_trust_domain_is_not_handed_on(tmp_path: Path) -> None:
    """The host relays a quote: its report data are those that were asked for, its registers are not this guest's."""
    tsm = UnsafeSimulatedTsm(tmp_path, platform(), TD)
    (tsm.measurements / "rtmr1:sha384").write_bytes(b"\1" * 48)

    assert f"the quote has RTMR1 {TD.registers[1].hex()}, and the kernel reads {'01' * 48}" in why(tsm.provider())
    assert list(tsm.reports.iterdir()) == []


@pytest.mark.parametrize("quoted", ["before", "after"])
def test_a_register_may_be_extended_while_the_quote_is_made(quoted: str, tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform(), TD)
    register = tsm.measurements / "rtmr3:sha384"
    values = [TD.registers[3], b"\1" * 48]
    first, second = values if quoted == "before" else reversed(values)
    register.write_bytes(first)

    def make(entry: Path) -> None:
        tsm.make(entry)
        register.write_bytes(second)

    holds(TdxProvider(tsm.reports, tsm.event_log, make, tsm.remove, tsm.measurements).attest(RAW), RAW)
    assert register.read_bytes() == second


def test_a_kernel_that_shows_no_registers_will_do(tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform(), TD)
    shutil.rmtree(tsm.measurements)

    holds(tsm.provider().attest(RAW), RAW)


@pytest.mark.parametrize("content", [b"", b"r" * 47, b"r" * 49, b"r" * 96])
def test_a_register_has_48_bytes(content: bytes, tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform())
    (tsm.measurements / "rtmr2:sha384").write_bytes(content)

    with pytest.raises(EvidenceError, match="not a register of 48 bytes") as caught:
        tsm.provider().attest(RAW)
    assert caught.value.mend


def test_a_register_that_is_not_there(tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform())
    (tsm.measurements / "rtmr0:sha384").unlink()

    with pytest.raises(EvidenceError, match="rtmr0:sha384: the register cannot be read") as caught:
        tsm.provider().attest(RAW)
    assert "Linux 6.16" in caught.value.mend
