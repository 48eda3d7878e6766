// assembly/index.ts: the exports; nothing else. One block a file, names prefixed by their protocol.

export { alloc, release, arenaUsed } from "./arena";
export {
  packetAlloc, packetFree, packetCopy, packetSwap, packetLinear, packetPieces, packetPull, packetPush, packetTrim, packetLimits,
  packetsInUse, packetsExhausted, headroom, tailroom,
} from "./packet";
export { checksum, transportChecksum, update16, update32 } from "./checksum";
export {
  check as ethCheck, type as ethType, dstHigh as ethDstHigh, dstLow as ethDstLow, srcHigh as ethSrcHigh,
  srcLow as ethSrcLow, isGroup as ethIsGroup, setType as ethSetType, emit as ethEmit, fcs as ethFcs,
  verifyFcs as ethVerifyFcs, emitFcs as ethEmitFcs, isLength as ethIsLength, checkLength as ethCheckLength,
} from "./wire/ethernet";
export {
  check as vlanCheck, tci as vlanTci, id as vlanId, dei as vlanDei, priority as vlanPriority, etype as vlanEtype,
  emit as vlanEmit, setTci as vlanSetTci, insert as vlanInsert, remove as vlanRemove,
} from "./wire/vlan";
export {
  check as llcCheck, dsap as llcDsap, ssap as llcSsap, control as llcControl, isSnap as llcIsSnap,
  headerLen as llcHeaderLen, oui as llcOui, type as llcType, emit as llcEmit, emitSnap as llcEmitSnap,
} from "./wire/llc";
export {
  check as arpCheck, htype as arpHtype, ptype as arpPtype, hlen as arpHlen, plen as arpPlen, op as arpOp,
  sha as arpSha, tha as arpTha, spa as arpSpa, tpa as arpTpa, emit as arpEmit,
} from "./wire/arp";
export {
  check as ipv4Check, version as ipv4Version, headerLen as ipv4HeaderLen, tos as ipv4Tos, length as ipv4Length,
  id as ipv4Id, frag as ipv4Frag, isFragment as ipv4IsFragment, ttl as ipv4Ttl, proto as ipv4Proto,
  headerChecksum as ipv4HeaderChecksum, src as ipv4Src, dst as ipv4Dst, setLength as ipv4SetLength,
  setId as ipv4SetId, setFrag as ipv4SetFrag, fillChecksum as ipv4FillChecksum, rewriteTtl as ipv4RewriteTtl,
  rewriteTos as ipv4RewriteTos, rewriteFrag as ipv4RewriteFrag, rewriteSrc as ipv4RewriteSrc,
  rewriteDst as ipv4RewriteDst, emit as ipv4Emit,
} from "./wire/ipv4";
export {
  check as udpCheck, verify as udpVerify, srcPort as udpSrcPort, dstPort as udpDstPort, length as udpLength,
  checksum as udpChecksum, setSrcPort as udpSetSrcPort, setDstPort as udpSetDstPort, setChecksum as udpSetChecksum,
  fillChecksum as udpFillChecksum, emit as udpEmit,
} from "./wire/udp";
export {
  check as tcpCheck, verify as tcpVerify, srcPort as tcpSrcPort, dstPort as tcpDstPort, seq as tcpSeq, ack as tcpAck,
  headerLen as tcpHeaderLen, flags as tcpFlags, flags12 as tcpFlags12, window as tcpWindow, checksum as tcpChecksum,
  urgent as tcpUrgent, setSrcPort as tcpSetSrcPort, setDstPort as tcpSetDstPort, setChecksum as tcpSetChecksum,
  fillChecksum as tcpFillChecksum, emit as tcpEmit,
} from "./wire/tcp";
export {
  check as tcpOptCheck, next as tcpOptNext, kind as tcpOptKind, optionLen as tcpOptLen, find as tcpOptFind,
  mss as tcpOptMss, windowScale as tcpOptWindowScale, sackPermitted as tcpOptSackPermitted,
  timestamps as tcpOptTimestamps, tsval as tcpOptTsval, tsecr as tcpOptTsecr, sack as tcpOptSack,
  sackCount as tcpOptSackCount, sackLeft as tcpOptSackLeft, sackRight as tcpOptSackRight, putMss as tcpOptPutMss,
  putWindowScale as tcpOptPutWindowScale, putSackPermitted as tcpOptPutSackPermitted,
  putTimestamps as tcpOptPutTimestamps, putSackPermittedTimestamps as tcpOptPutSackPermittedTimestamps,
  putSack as tcpOptPutSack, putOption as tcpOptPut, putSyn as tcpOptPutSyn, finish as tcpOptFinish,
} from "./wire/tcpoptions";
export {
  check as icmpCheck, verify as icmpVerify, type as icmpType, code as icmpCode, checksum as icmpChecksum,
  ident as icmpIdent, seq as icmpSeq, mtu as icmpMtu, gateway as icmpGateway, isError as icmpIsError,
  setIdent as icmpSetIdent, fillChecksum as icmpFillChecksum, emit as icmpEmit, setSeq as icmpSetSeq,
  checkTimestamp as icmpCheckTimestamp, checkQuoted as icmpCheckQuoted, pointer as icmpPointer, quoted as icmpQuoted,
  originate as icmpOriginate, receive as icmpReceive, transmit as icmpTransmit, emitEcho as icmpEmitEcho,
  emitTimestamp as icmpEmitTimestamp, emitMessage as icmpEmitMessage,
} from "./wire/icmpv4";
export {
  check as dnsCheck, id as dnsId, flags as dnsFlags, qdcount as dnsQdcount, ancount as dnsAncount,
  nscount as dnsNscount, arcount as dnsArcount, setId as dnsSetId, setFlags as dnsSetFlags, question as dnsQuestion,
  record as dnsRecord, name as dnsName, skipName as dnsSkipName, checkRdata as dnsCheckRdata,
  nameToText as dnsNameToText, nameFromText as dnsNameFromText,
} from "./wire/dns";
export {
  begin as dnsBegin, length as dnsLength, setCapacity as dnsSetCapacity, putQuestion as dnsPutQuestion,
  beginRecord as dnsBeginRecord, endRecord as dnsEndRecord, abandon as dnsAbandon, put16 as dnsPut16,
  put32 as dnsPut32, putBytes as dnsPutBytes, putName as dnsPutName,
} from "./wire/dnswriter";
export { loadProgram as bpfLoad, unload as bpfUnload, run as bpfRun } from "./bpf";
export { dissect } from "./dissect";
export { walk } from "./walk";
export { flowsNew, flowsFree, flowsAt, flowsAdd, flowsMerge } from "./flows";
export { statsNew, statsAdd } from "./stats";
export {
  etherReceive, etherPush, ipReceive, frameReceive, ipKey, udpReceive, decreaseTtl, icmpBuild, icmpTimes, ipBuild, udpBuild, tcpReset, setDestination, fragment, udpliteCheck,
} from "./ip";
export {
  prespecified as optPrespecified, compile as optCompile, sourceRouteNext as optSourceRouteNext,
  sourceRoutePointer as optSourceRoutePointer, sourceRouteLength as optSourceRouteLength, forward as optForward,
  keepCopied as optKeepCopied, echo as optEcho, echoFirstHop as optEchoFirstHop,
  check as optCheck, next as optNext, kind as optKind, optionLen as optLen, find as optFind,
} from "./wire/ipv4options";
export {
  putNoop as optPutNoop, putRecordRoute as optPutRecordRoute, putSourceRoute as optPutSourceRoute,
  putTimestamp as optPutTimestamp, putRouterAlert as optPutRouterAlert, putOption as optPut, finish as optFinish,
} from "./wire/ipv4optionswriter";
export { headSpans as httpHead } from "./wire/httphead";
export {
  init as httpInit, setAnswers as httpSetAnswers, feed as httpFeed, isIdle as httpIsIdle, finish as httpFinish,
} from "./wire/http";
export {
  fibNew, fibFree, fibCount, fibBytes, fibFastBytes, fibAdd, fibDel, fibLoad, fibGet, fibLookup, fibMatch, fibBatch,
  fibNext, fibFound,
} from "./fib";
export { mayReject as mangleMayReject, mayReset as mangleMayReset, setTtl as mangleTtl, setTos as mangleTos, clearEcn as mangleClearEcn, setMss as mangleMss, stripOptions as mangleStripOptions, prepareCopy as manglePrepareCopy } from "./mangle";
export {
  tableCreate as ctTableCreate, find as ctFind, confirm as ctConfirm, kill as ctKill, put as ctPut, hold as ctHold,
  reset as ctReset, attachRelated as ctAttachRelated, collect as ctCollect, flush as ctFlush, nextEntry as ctNextEntry,
  nextDead as ctNextDead, chance as ctChance,
} from "./conntrack";
export { forgetWindows as ctForgetWindows } from "./conntracktcp";
export { track as ctTrack, notrack as ctNotrack, flowPorts as ctFlowPorts } from "./conntrackin";
export {
  step as natStep, setup as natSetup, setupNull as natSetupNull, bound as natBound, packet as natPacket,
} from "./nat";
export {
  create as fragCreate, configure as fragConfigure, add as fragAdd, nextKilled as fragNextKilled,
  killReason as fragKillReason, nextExpiry as fragNextExpiry, expire as fragExpire, expiredHead as fragExpiredHead,
  expiredIn as fragExpiredIn, expiredUser as fragExpiredUser, queues as fragQueues, memoryUsed as fragMemory,
} from "./defrag";
export { jhash, reciprocalScale } from "./jhash";
