package ext

import (
	"testing"

	"moat/internal/packet"
	"moat/internal/rule"
)

// withHeader is an IPv6 packet with one extension header.
func withHeader(proto uint8, data ...byte) packet.Packet {
	return packet.Packet{Family: rule.IPv6, Proto: 6, Known: packet.KnowExtensions, Extensions: []packet.Extension{{Proto: proto, Data: data}}}
}

func TestIPsecHeadersDecide(t *testing.T) {
	p, fragment := packet.Packet{Known: packet.KnowSPI, Transport: packet.Transport{SPI: 300}}, packet.Packet{Fragment: true}
	for _, m := range []struct {
		d      *Def
		option string
	}{{&esp, "--espspi"}, {&ah4, "--ahspi"}} {
		checkAnswers(t, m.d, rule.IPv4, []answerCase{
			{p, m.option + " 300", packet.Yes}, {p, m.option + " 1:299", packet.No}, {p, "! " + m.option + " 1:299", packet.Yes},
			{packet.Packet{}, m.option + " 300", packet.Unknown}, {fragment, "! " + m.option + " 300", packet.No},
		})
	}
	ah := withHeader(headerAH, 6, 4, 0, 0, 0, 0, 1, 44, 0, 0, 0, 1)
	checkAnswers(t, &ah6, rule.IPv6, []answerCase{
		{ah, "--ahspi 300", packet.Yes}, {ah, "! --ahspi 300", packet.No}, {ah, "--ahlen 24", packet.Yes}, {ah, "! --ahlen 24", packet.No}, {ah, "--ahres", packet.Yes},
		{packet.Packet{}, "--ahspi 300", packet.Unknown}, {withHeader(headerHop), "! --ahspi 300", packet.No}, {withHeader(headerAH), "--ahspi 1", packet.Unknown},
	})
	comp := packet.Packet{Proto: 108, Bytes: append(append([]byte{0x45}, make([]byte, 19)...), 6, 0, 1, 44)}
	checkAnswers(t, &ipcomp, rule.IPv4, []answerCase{
		{comp, "--ipcompspi 300", packet.Yes}, {comp, "! --ipcompspi 300", packet.No}, {packet.Packet{Proto: 108}, "--ipcompspi 300", packet.Unknown},
		{packet.Packet{Fragment: true}, "! --ipcompspi 300", packet.No},
	})
}

func TestIPv6HeadersDecide(t *testing.T) {
	first := withHeader(headerFragment, 6, 0, 0, 1, 0, 0, 0, 77)
	last := withHeader(headerFragment, 6, 0, 5, 0xa8, 0, 0, 0, 77)
	checkAnswers(t, &frag, rule.IPv6, []answerCase{
		{first, "--fragid 77 --fragfirst --fragmore --fragres", packet.Yes}, {first, "--fraglast", packet.No}, {last, "--fraglast", packet.Yes}, {last, "--fragfirst", packet.No},
		{last, "! --fragid 77", packet.No}, {packet.Packet{}, "--fragfirst", packet.Unknown}, {withHeader(headerHop), "! --fragid 1", packet.No}, {withHeader(headerFragment), "--fragfirst", packet.Unknown},
	})
	hop := withHeader(headerHop, 6, 0, 5, 2, 0, 0, 1, 0)
	checkAnswers(t, &hbh, rule.IPv6, []answerCase{
		{hop, "--hbh-len 8", packet.Yes}, {hop, "! --hbh-len 8", packet.No}, {hop, "--hbh-opts 5:2", packet.Yes}, {hop, "--hbh-opts 5", packet.Yes}, {hop, "--hbh-opts 5:2,1", packet.Yes},
		{hop, "--hbh-opts 5:3", packet.No}, {hop, "--hbh-opts 1", packet.No}, {packet.Packet{}, "--hbh-len 8", packet.Unknown}, {withHeader(headerHop), "--hbh-len 8", packet.Unknown},
	})
	checkAnswers(t, &dst, rule.IPv6, []answerCase{{hop, "--dst-len 8", packet.No}, {withHeader(headerDst, 6, 1, 1, 12), "--dst-len 16", packet.Yes}})
	checkAnswers(t, &ipv6header, rule.IPv6, []answerCase{
		{hop, "--header hop,prot", packet.Yes}, {hop, "--header hop", packet.No}, {hop, "--header hop --soft", packet.Yes}, {hop, "! --header hop --soft", packet.No},
		{hop, "--header hop,frag --soft", packet.No}, {hop, "! --header dst,route,frag,auth,esp,none", packet.Yes}, {packet.Packet{}, "--header hop", packet.Unknown},
		{packet.Packet{Proto: 50, Known: packet.KnowExtensions}, "--header esp", packet.Yes},
	})
	mobility := packet.Packet{Family: rule.IPv6, Proto: 135, Bytes: append(append([]byte{0x60, 0, 0, 0, 0, 8, 135, 64}, make([]byte, 32)...), 59, 0, 5, 0, 0, 0, 0, 0)}
	checkAnswers(t, &mh, rule.IPv6, []answerCase{
		{mobility, "--mh-type 5", packet.Yes}, {mobility, "--mh-type 6:9", packet.No}, {mobility, "! --mh-type 6:9", packet.Yes}, {packet.Packet{Proto: 135}, "--mh-type 5", packet.Unknown},
	})
}

func TestServiceFieldsDecide(t *testing.T) {
	p := packet.Packet{Known: packet.KnowTOS, TOS: 46<<2 | 1}
	checkAnswers(t, &dscpMatch, rule.IPv4, []answerCase{
		{p, "--dscp 46", packet.Yes}, {p, "--dscp-class BE", packet.No}, {p, "! --dscp 1", packet.Yes}, {packet.Packet{}, "--dscp 0", packet.Unknown},
	})
	checkAnswers(t, &tosMatch, rule.IPv4, []answerCase{
		{p, "--tos 0xb9", packet.Yes}, {p, "--tos 1/3", packet.Yes}, {p, "! --tos 1/3", packet.No}, {p, "--tos 0xb9/3", packet.No}, {packet.Packet{}, "--tos 0", packet.Unknown},
	})
}

func TestConnectionMatchesDecide(t *testing.T) {
	p := inState(packet.Established)
	p.Known |= packet.KnowConnCounter | packet.KnowConnLabels | packet.KnowConnHelper
	p.Connection.Packets, p.Connection.Bytes = [2]uint64{10, 5}, [2]uint64{1000, 250}
	p.Connection.Helper, p.Connection.Labels[1] = "ftp", 2
	none := inState(packet.Untracked)
	checkAnswers(t, &connbytes, rule.IPv4, []answerCase{
		{p, "--connbytes 10:10 --connbytes-dir original --connbytes-mode packets", packet.Yes}, {p, "! --connbytes 6 --connbytes-dir reply --connbytes-mode packets", packet.Yes},
		{p, "--connbytes 1250 --connbytes-dir both --connbytes-mode bytes", packet.Yes}, {p, "--connbytes 51 --connbytes-dir reply --connbytes-mode avgpkt", packet.No},
		{none, "! --connbytes 5 --connbytes-dir both --connbytes-mode bytes", packet.No}, {packet.Packet{}, "--connbytes 5 --connbytes-dir both --connbytes-mode bytes", packet.Unknown},
	})
	checkAnswers(t, &connlabel, rule.IPv4, []answerCase{
		{p, "--label 9", packet.Yes}, {p, "! --label 8", packet.Yes}, {p, "--label 8", packet.No}, {p, "--label 8 --set", packet.Unknown}, {p, "--label 9 --set", packet.Yes},
		{none, "! --label 9", packet.Yes}, {packet.Packet{}, "--label 9", packet.Unknown},
	})
	checkAnswers(t, &helper, rule.IPv4, []answerCase{
		{p, "--helper ftp", packet.Yes}, {p, "--helper ftp-2121", packet.Yes}, {p, "--helper irc", packet.No}, {p, "! --helper irc", packet.Yes}, {p, `--helper ""`, packet.Yes},
		{none, "! --helper ftp", packet.Yes}, {packet.Packet{}, "--helper ftp", packet.Unknown},
	})
}

func TestHostsFactsDecide(t *testing.T) {
	p := packet.Packet{Known: packet.KnowCPU | packet.KnowGroups | packet.KnowCgroup, CPU: 3, InGroup: 5, OutGroup: 6, CgroupPath: "/web/nginx"}
	checkAnswers(t, &cpu, rule.IPv4, []answerCase{{p, "--cpu 3", packet.Yes}, {p, "! --cpu 3", packet.No}, {packet.Packet{}, "--cpu 3", packet.Unknown}})
	checkAnswers(t, &devgroup, rule.IPv4, []answerCase{
		{p, "--src-group 5", packet.Yes}, {p, "--src-group 5 ! --dst-group 6", packet.No}, {p, "--dst-group 2/2", packet.Yes}, {packet.Packet{}, "--src-group 5", packet.Unknown},
	})
	checkAnswers(t, &cgroup, rule.IPv4, []answerCase{
		{p, "--path web", packet.Yes}, {p, "--path we", packet.No}, {p, "! --path db", packet.Yes}, {packet.Packet{}, "--path web", packet.Unknown}, {p, "--cgroup 1", packet.Unknown},
		{packet.Packet{Known: packet.KnowCgroup}, "! --path web", packet.No},
	})
	checkAnswers(t, &bpf, rule.IPv4, []answerCase{
		{packet.Packet{}, `--bytecode "1,6 0 0 1"`, packet.Unknown}, {packet.Packet{Bytes: []byte{1}}, `--bytecode "1,6 0 0 1"`, packet.Yes},
		{packet.Packet{Bytes: []byte{1}}, `--bytecode "1,6 0 0 0"`, packet.No},
	})
}
