(* Coq's Z by Zarith: what Extract.v names. *)
module Whole = Z
type t = Z.t
let doubled p = Z.shift_left p 1
let doubled_and_one p = Z.succ (Z.shift_left p 1)
let on_positive odd even one p = if Z.equal p Z.one then one () else if Z.is_odd p then odd (Z.shift_right p 1) else even (Z.shift_right p 1)
let on_sign zero positive negative z = let s = Z.sign z in if s = 0 then zero () else if s > 0 then positive z else negative (Z.neg z)
let shifted z k = if k = 0 then z else if k > 0 then Z.shift_left z k else Z.shift_right z (-k)        (* to below, as Coq's *)
let shiftl z k = shifted z (Z.to_int k)
let shiftr z k = shifted z (- (Z.to_int k))
let div a b = if Z.sign b = 0 then Z.zero else Z.fdiv a b                                               (* to below, 0 behind 0, as Coq's *)
let zero = Z.zero
let one = Z.one
let opp = Z.neg
let add = Z.add
let sub = Z.sub
let mul = Z.mul
let abs = Z.abs
let leq a b = a == b || Z.leq a b
let lt = Z.lt
let equal a b = a == b || Z.equal a b
let of_int = Z.of_int
