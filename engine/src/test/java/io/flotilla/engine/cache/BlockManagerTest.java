package io.flotilla.engine.cache;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class BlockManagerTest {
  private static final int BLOCK_SIZE = 4;

  private final List<BlockTable> tables = new ArrayList<>();
  private BlockManager blocks = new BlockManager(8, BLOCK_SIZE, true);

  @AfterEach
  void invariantsHold() {
    blocks.checkInvariants(tables);
  }

  @Test
  void givesAnAdmittedSequenceBlocksForAllItsTokens() {
    BlockTable table = table("");
    assertThat(admit(table, tokens(0, 9))).isZero();
    assertThat(table.size()).isEqualTo(3);
    assertThat(blocks.freeBlocks()).isEqualTo(5);
  }

  @Test
  void sharesRegisteredBlocksOfAnEqualPrefix() {
    BlockTable first = admitted("", tokens(0, 12));
    BlockTable second = table("");
    int[] tokens = tokens(0, 12);
    tokens[9] = 99;
    assertThat(admit(second, tokens)).isEqualTo(8);
    assertThat(second.blocksFrom(0)).startsWith(first.block(0), first.block(1));
    assertThat(second.block(2)).isNotEqualTo(first.block(2));
    assertThat(blocks.freeBlocks()).isEqualTo(4);
  }

  @Test
  void leavesATokenToComputeOfAPromptThatIsCachedWhole() {
    admitted("", tokens(0, 8));
    assertThat(admit(table(""), tokens(0, 8))).isEqualTo(4);
    assertThat(admit(table(""), tokens(0, 9))).isEqualTo(8);
  }

  @Test
  void findsNothingUnderAnotherSalt() {
    admitted("one", tokens(0, 8));
    assertThat(admit(table("two"), tokens(0, 9))).isZero();
  }

  @Test
  void findsNothingWhenTheParentDiffers() {
    admitted("", tokens(0, 8));
    int[] tokens = tokens(0, 9);
    tokens[0] = 99;
    assertThat(admit(table(""), tokens)).isZero();
  }

  @Test
  void findsNothingWhenCachingIsOff() {
    blocks = new BlockManager(8, BLOCK_SIZE, false);
    admitted("", tokens(0, 8));
    assertThat(admit(table(""), tokens(0, 9))).isZero();
  }

  @Test
  void findsNothingForWhoMayNotUseTheCache() {
    admitted("", tokens(0, 8));
    assertThat(blocks.admit(table(""), tokens(0, 9), 9, false, 0)).isZero();
  }

  @Test
  void neverSharesABlockThatIsNotFull() {
    admitted("", tokens(0, 7));
    assertThat(admit(table(""), tokens(0, 9))).isEqualTo(4);
  }

  @Test
  void revivesFreedBlocks() {
    BlockTable first = admitted("", tokens(0, 8));
    int[] held = first.blocksFrom(0);
    release(first);
    BlockTable second = table("");
    assertThat(admit(second, tokens(0, 9))).isEqualTo(8);
    assertThat(second.blocksFrom(0)).startsWith(held);
    assertThat(blocks.freeBlocks()).isEqualTo(5);
  }

  @Test
  void refusesAndChangesNothingWhenBlocksAreShort() {
    admitted("", tokens(0, 20));
    BlockTable table = table("");
    assertThat(admit(table, tokens(50, 13))).isEqualTo(-1);
    assertThat(table.size()).isZero();
    assertThat(blocks.freeBlocks()).isEqualTo(3);
    assertThat(admit(table, tokens(50, 12))).isZero();
  }

  @Test
  void countsCachedFreeBlocksOnceWhenItAdmits() {
    BlockTable first = admitted("", tokens(0, 16));
    release(first);
    admitted("", tokens(50, 16));
    // Four blocks are free and cached; all four are needed besides, for the rest of the prompt.
    assertThat(admit(table(""), tokens(0, 17))).isEqualTo(-1);
    assertThat(admit(table(""), tokens(0, 16))).isEqualTo(12);
  }

  @Test
  void keepsAReserveFree() {
    assertThat(blocks.admit(table(""), tokens(0, 24), 24, true, 3)).isEqualTo(-1);
    assertThat(blocks.admit(table(""), tokens(0, 24), 24, true, 2)).isZero();
  }

  @Test
  void growsOnlyWhenABlockIsFull() {
    BlockTable table = admitted("", tokens(0, 7));
    assertThat(blocks.grow(table, 8)).isTrue();
    assertThat(table.size()).isEqualTo(2);
    assertThat(blocks.grow(table, 9)).isTrue();
    assertThat(table.size()).isEqualTo(3);
  }

  @Test
  void cannotGrowWithoutFreeBlocks() {
    BlockTable table = admitted("", tokens(0, 32));
    assertThat(blocks.grow(table, 33)).isFalse();
    assertThat(table.size()).isEqualTo(8);
  }

  @Test
  void givesOutCachedBlocksLastAndOldestFirst() {
    BlockTable older = admitted("", tokens(0, 8));
    BlockTable newer = admitted("", tokens(50, 8));
    release(older);
    release(newer);
    // Four blocks were never used; the fifth is taken from the sequence freed first.
    BlockTable other = table("");
    admit(other, tokens(80, 20));
    release(other);
    assertThat(admit(table(""), tokens(50, 9))).isEqualTo(8);
    assertThat(admit(table(""), tokens(0, 9))).isEqualTo(4);
  }

  @Test
  void givesOutBlocksThatHoldNothingBeforeCachedOnes() {
    BlockTable cached = admitted("", tokens(0, 16));
    release(cached);
    BlockTable scratch = table("");
    admit(scratch, tokens(50, 16));
    release(scratch);
    BlockTable again = table("");
    admit(again, tokens(80, 16));
    assertThat(admit(table(""), tokens(0, 16))).isEqualTo(12);
  }

  @Test
  void keepsTheFirstOfTwoEqualBlocks() {
    BlockTable first = table("");
    BlockTable second = table("");
    admit(first, tokens(0, 8));
    admit(second, tokens(0, 8));
    blocks.register(first, tokens(0, 8), 8);
    blocks.register(second, tokens(0, 8), 8);
    BlockTable third = table("");
    admit(third, tokens(0, 9));
    assertThat(third.blocksFrom(0)).startsWith(first.blocksFrom(0));
  }

  @Test
  void namesABlockThatLeaks() {
    BlockTable leaked = table("");
    admit(leaked, tokens(0, 4));
    assertThatThrownBy(() -> blocks.checkInvariants(List.of()))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("KV block " + leaked.block(0) + " is held by 0");
  }

  private BlockTable table(String salt) {
    BlockTable table = blocks.newTable(salt);
    tables.add(table);
    return table;
  }

  private BlockTable admitted(String salt, int[] tokens) {
    BlockTable table = table(salt);
    admit(table, tokens);
    blocks.register(table, tokens, tokens.length);
    return table;
  }

  private int admit(BlockTable table, int[] tokens) {
    return blocks.admit(table, tokens, tokens.length, true, 0);
  }

  private void release(BlockTable table) {
    blocks.release(table);
  }

  private static int[] tokens(int first, int count) {
    int[] tokens = new int[count];
    for (int i = 0; i < count; i++) {
      tokens[i] = first + i;
    }
    return tokens;
  }
}
